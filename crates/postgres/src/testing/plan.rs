//! Query plans.

use diesel::{
    pg::Pg,
    prelude::*,
    query_builder::{AstPass, Query, QueryFragment, QueryId},
    sql_types::Json,
};
use serde_json::Value;

/// Explains a statement with the values it would run with.
pub(crate) struct Explain<Q>(pub(crate) Q);

impl<Q> QueryId for Explain<Q> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<Q: QueryFragment<Pg>> QueryFragment<Pg> for Explain<Q> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.unsafe_to_cache_prepared();
        out.push_sql("EXPLAIN (FORMAT JSON) ");
        self.0.walk_ast(out)
    }
}

impl<Q> Query for Explain<Q> {
    type SqlType = Json;
}

/// Panics if a plan accesses a table other than by its indexes.
pub(crate) fn assert_uses_an_index(table: &str, what: &str, plan: &Value) {
    let mut scans = Vec::new();
    scans_of(table, plan, &mut scans);
    assert!(!scans.is_empty(), "{what}: {plan:#}");
    let of_an_index = format!(" {table}_");
    assert!(
        scans.iter().all(|scan| scan.contains(&of_an_index)),
        "{what}: {scans:?}\n{plan:#}"
    );
}

/// Collects the type and index of each plan node that accesses the table.
fn scans_of(table: &str, plan: &Value, found: &mut Vec<String>) {
    match plan {
        Value::Object(node) => {
            let text = |key: &str| node.get(key).and_then(Value::as_str);
            let is_of_table = |index: &str| {
                index
                    .strip_prefix(table)
                    .is_some_and(|rest| rest.starts_with('_'))
            };
            match (text("Node Type"), text("Index Name")) {
                (Some(kind), Some(index)) if is_of_table(index) => {
                    found.push(format!("{kind} {index}"));
                }
                (Some(kind), None)
                    if text("Relation Name") == Some(table) && kind != "Bitmap Heap Scan" =>
                {
                    found.push(kind.to_owned());
                }
                _ => {}
            }
            node.values()
                .for_each(|value| scans_of(table, value, found));
        }
        Value::Array(nodes) => nodes.iter().for_each(|node| scans_of(table, node, found)),
        _ => {}
    }
}
