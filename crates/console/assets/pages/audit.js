/** The audit log, newest first. */
import { get } from "../api.js";
import { Icon } from "../icons.js";
import { navigate } from "../navigation.js";
import { withQuery } from "../paths.js";
import { html, useEffect, useState } from "../preact.js";
import { useSession } from "../session.js";
import { Badge, Empty, Loaded, Page, Pager, Time, rangeText, useLoad } from "../ui.js";

const PAGE = 25;

export default function Audit({ query }) {
  const { may } = useSession();
  if (!may.auditRead) {
    return html`<${Page} title="Audit log" lead="Only owners and auditors can view this." />`;
  }
  return html`<${Log} query=${query} />`;
}

function Log({ query }) {
  const search = query.get("q") ?? "";
  const offset = Math.max(0, Number(query.get("offset")) || 0);
  const log = useLoad(
    (signal) => get(withQuery("/audit", { q: search, limit: PAGE, offset }), { signal }),
    [search, offset],
  );
  const goTo = (to) => navigate(withQuery("/audit", { q: search, offset: to > 0 ? to : "" }));
  return html`<${Page} title="Audit log">
    <${Search} search=${search} error=${log.error} />
    ${
      (!log.error || log.error.status !== 400) &&
      html`<${Loaded} from=${log}>${({ audit_logs: rows, count }) => html`
      ${
        rows.length === 0
          ? html`<${Empty} icon="audit" title=${search ? "No entries match" : "No entries yet"}>
            <p>${search ? html`<a href="/audit">Show all entries</a>` : "Changes to users, organizations and tokens appear here."}</p>
          <//>`
          : html`<ol class="card log">${rows.map((row) => html`<${Row} key=${row.id} row=${row} />`)}</ol>`
      }
      <${Pager} label="Audit log pages"
        text=${rangeText(offset, rows.length, count)}
        onBack=${offset > 0 ? () => goTo(offset - PAGE) : undefined}
        onForward=${offset + rows.length < count ? () => goTo(offset + PAGE) : undefined} />
    `}<//>`
    }
  <//>`;
}

function Search({ search, error }) {
  const [text, setText] = useState(search);
  useEffect(() => setText(search), [search]);
  const isInvalid = error?.status === 400;
  const message = isInvalid
    ? Object.entries(error.fields)
        .map(([, detail]) => detail)
        .join(" ") || error.message
    : "";
  const submit = (event) => {
    event.preventDefault();
    navigate(withQuery("/audit", { q: text.trim() }));
  };
  return html`<form class="filters" role="search" onSubmit=${submit}>
    <div class="search">
      <label class="hidden" for="audit-search">Search the audit log</label>
      <${Icon} name="search" />
      <input id="audit-search" type="search" value=${text} placeholder="action:create username:me"
        autocomplete="off" spellcheck=${false}
        onInput=${(event) => setText(event.target.value)} aria-invalid=${isInvalid ? "true" : undefined}
        aria-describedby="audit-help audit-error" />
      <button class="button" type="submit">Search</button>
    </div>
    <p class="help"
      id="audit-help">Filters: <code>action:</code>, <code>resource_type:</code>, <code>resource_target:</code>,${" "}
      <code>username:</code>, <code>email:</code>, <code>organization:</code>, <code>date_from:</code>,${" "}
      <code>date_to:</code></p>
    <p id="audit-error" class="error" role="alert">${message}</p>
  </form>`;
}

function Row({ row }) {
  const sentence = describe(row);
  const changes = Object.entries(row.diff ?? {});
  const link = row.resource_type === "user" && !row.is_deleted ? `/users/${row.resource_id}` : null;
  return html`<li>
    <div class="log-line">
      <span class="log-text">${link ? html`<a href=${link}>${sentence}</a>` : sentence}
        ${row.organization && html` <span
          class="help">in ${row.organization.display_name || row.organization.name}</span>`}</span>
      <${Badge} tone=${row.status_code < 400 ? "good" : "bad"}>${row.status_code}<//>
    </div>
    <p class="help"><${Time} at=${row.time} />${row.ip && ` · ${row.ip}`}</p>
    <details><summary>${summary(changes.length)}</summary>
      <dl class="changes">${changes.map(
        ([field, change]) => html`<div key=${field}><dt>${field}</dt>
        <dd>${change.secret ? html`<em>secret</em>` : html`<del>${valueText(change.old)}</del> <span
          aria-label="changed to">→</span> <ins>${valueText(change.new)}</ins>`}</dd></div>`,
      )}
        ${row.user_agent && html`<div><dt>user agent</dt><dd>${row.user_agent}</dd></div>`}
        <div><dt>request ID</dt><dd>${row.request_id}</dd></div>
      </dl>
    </details>
  </li>`;
}

/** Verbs in descriptions from the API, which are fixed by compatibility, in plainer words. */
const VERBS = [
  ["unsuccessfully attempted to login", "failed to sign in"],
  ["unsuccessfully attempted to logout", "failed to sign out"],
  ["unsuccessfully attempted to write", "failed to update"],
  ["unsuccessfully attempted to", "failed to"],
  ["logged in", "signed in"],
  ["logged out", "signed out"],
];

function describe(row) {
  const [from, to] = VERBS.find(([verb]) => row.description.includes(verb)) ?? ["", ""];
  return row.description
    .replace(from, to)
    .replace("{user}", () => row.user?.username ?? "Unknown user")
    .replace("{target}", () => row.resource_target)
    .trim();
}

function summary(changes) {
  if (changes === 0) {
    return "Details";
  }
  return changes === 1 ? "1 change" : `${changes} changes`;
}

function valueText(value) {
  if (value === undefined || value === null || value === "") {
    return "empty";
  }
  return typeof value === "string" ? value : JSON.stringify(value);
}
