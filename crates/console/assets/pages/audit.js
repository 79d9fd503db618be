/** Who did what, newest first. */
import { get } from "../api.js";
import { Icon } from "../icons.js";
import { withQuery } from "../paths.js";
import { html, useEffect, useState } from "../preact.js";
import { navigate } from "../router.js";
import { useSession } from "../session.js";
import { Badge, Empty, Loaded, Page, Pager, Time, number, useLoad } from "../ui.js";

const PAGE = 25;

export default function Audit({ query }) {
  const { may } = useSession();
  if (!may.auditRead) {
    return html`<${Page} title="Audit log" lead="Only owners and auditors read it." />`;
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
  const go = (to) => navigate(withQuery("/audit", { q: search, offset: to > 0 ? to : "" }));
  return html`<${Page} title="Audit log">
    <${Search} search=${search} error=${log.error} />
    ${
      (!log.error || log.error.status !== 400) &&
      html`<${Loaded} from=${log}>${({ audit_logs: rows, count }) => html`
      ${
        rows.length === 0
          ? html`<${Empty} icon="audit" title=${search ? "Nothing matches" : "Nothing has happened yet"} />`
          : html`<ol class="card log">${rows.map((row) => html`<${Row} key=${row.id} row=${row} />`)}</ol>`
      }
      <${Pager} label="Pages of the log"
        text=${rows.length ? `${number(offset + 1)}–${number(offset + rows.length)} of ${number(count)}` : ""}
        onBack=${offset > 0 ? () => go(offset - PAGE) : undefined}
        onForward=${offset + rows.length < count ? () => go(offset + PAGE) : undefined} />
    `}<//>`
    }
  <//>`;
}

function Search({ search, error }) {
  const [text, setText] = useState(search);
  useEffect(() => setText(search), [search]);
  const isWrong = error?.status === 400;
  const faults = isWrong
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
      <label class="hidden" for="audit-search">Search the log</label>
      <${Icon} name="search" />
      <input id="audit-search" type="search" value=${text} placeholder="action:create username:me"
        autocomplete="off" spellcheck=${false}
        onInput=${(event) => setText(event.target.value)} aria-invalid=${isWrong ? "true" : undefined}
        aria-describedby="audit-help audit-faults" />
      <button class="button" type="submit">Search</button>
    </div>
    <p class="help"
      id="audit-help">By <code>action:</code>, <code>resource_type:</code>, <code>resource_target:</code>,${" "}
      <code>username:</code>, <code>email:</code>, <code>organization:</code>, <code>date_from:</code> and${" "}
      <code>date_to:</code>.</p>
    <p id="audit-faults" class="error" role="alert">${faults}</p>
  </form>`;
}

function Row({ row }) {
  const who = row.user?.username ?? "Somebody";
  const words = row.description
    .replace("{user}", () => who)
    .replace("{target}", () => row.resource_target)
    .trim();
  const changes = Object.entries(row.diff ?? {});
  const link = row.resource_type === "user" && !row.is_deleted ? `/users/${row.resource_id}` : null;
  return html`<li>
    <div class="log-line">
      <span class="log-words">${link ? html`<a href=${link}>${words}</a>` : words}
        ${row.organization && html` <span
          class="help">in ${row.organization.display_name || row.organization.name}</span>`}</span>
      <${Badge} tone=${row.status_code < 400 ? "good" : "bad"}>${row.status_code}<//>
    </div>
    <p class="help"><${Time} at=${row.time} />${row.ip && ` · ${row.ip}`}</p>
    <details><summary>${summary(changes.length)}</summary>
      <dl class="changes">${changes.map(
        ([field, change]) => html`<div key=${field}><dt>${field}</dt>
        <dd>${change.secret ? html`<em>secret</em>` : html`<del>${show(change.old)}</del> <span
          aria-label="became">→</span> <ins>${show(change.new)}</ins>`}</dd></div>`,
      )}
        ${row.user_agent && html`<div><dt>program</dt><dd>${row.user_agent}</dd></div>`}
        <div><dt>request</dt><dd>${row.request_id}</dd></div>
      </dl>
    </details>
  </li>`;
}

function summary(changes) {
  if (changes === 0) {
    return "Details";
  }
  return changes === 1 ? "1 change" : `${changes} changes`;
}

function show(value) {
  if (value === undefined || value === null || value === "") {
    return "nothing";
  }
  return typeof value === "string" ? value : JSON.stringify(value);
}
