use std::collections::BTreeMap;

use crate::testing::TestStore;

/// The columns as `table.column type`, in table order.
type Columns = BTreeMap<String, Vec<String>>;

fn of_this_file() -> Columns {
    let mut columns = Columns::new();
    let mut table = String::new();
    for line in include_str!("../schema.rs").lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [name, key, .., "{"] if key.starts_with('(') => table = (*name).to_owned(),
            [column, "->", kind] => {
                let kind = kind.trim_end_matches(',');
                let entry = format!("{column} {kind}");
                columns.entry(table.clone()).or_default().push(entry);
            }
            _ => {}
        }
    }
    columns
}

const QUERY: &str = "
SELECT table_name || ' ' || column_name || ' ' ||
       CASE WHEN is_nullable = 'YES' THEN 'Nullable<' || kind || '>' ELSE kind END
FROM (
    SELECT *, CASE udt_name
        WHEN 'uuid' THEN 'Uuid' WHEN 'text' THEN 'Text' WHEN 'varchar' THEN 'Varchar'
        WHEN '_text' THEN 'Array<Text>' WHEN 'bytea' THEN 'Bytea' WHEN 'bool' THEN 'Bool'
        WHEN 'timestamptz' THEN 'Timestamptz' WHEN 'timestamp' THEN 'Timestamp'
        WHEN 'int8' THEN 'BigInt' WHEN 'int4' THEN 'Integer' WHEN 'inet' THEN 'Inet'
        WHEN 'jsonb' THEN 'Jsonb' WHEN '_uuid' THEN 'Array<Uuid>' ELSE udt_name END AS kind
    FROM information_schema.columns WHERE table_schema = 'public'
) AS columns
ORDER BY table_name, ordinal_position";

#[tokio::test]
async fn the_schema_matches_a_migrated_database() {
    let store = TestStore::new().await;
    let mut of_database = Columns::new();
    for row in store.column(QUERY).await {
        let (table, column) = row.split_once(' ').unwrap();
        of_database
            .entry(table.to_owned())
            .or_default()
            .push(column.to_owned());
    }

    let here = of_this_file();

    assert_eq!(here.len(), 15);
    for (table, columns) in here {
        assert_eq!(of_database.get(&table), Some(&columns), "{table}");
    }
}
