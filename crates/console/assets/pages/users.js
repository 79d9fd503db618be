/** The users, found by the API's search, one page at a time. */
import { get } from "../api.js";
import { Icon } from "../icons.js";
import { navigate } from "../navigation.js";
import { withQuery } from "../paths.js";
import { html, useEffect, useState } from "../preact.js";
import { nameOf, useSession } from "../session.js";
import {
  Avatar,
  Badge,
  Empty,
  Loaded,
  Page,
  Pager,
  Status,
  Time,
  loginTypeName,
  number,
  rangeText,
  useLoad,
} from "../ui.js";

const PAGE = 25;

const FILTERS = [
  { key: "status", label: "Status", options: ["active", "dormant", "suspended"] },
  { key: "role", label: "Role", options: ["owner", "user-admin", "template-admin", "auditor"] },
  { key: "login_type", label: "Sign-in", options: ["password", "github", "oidc", "none"] },
];

export default function Users({ query, state }) {
  const { may } = useSession();
  // Links in notifications have the search in `filter`.
  const search = query.get("q") ?? query.get("filter") ?? "";
  const after = query.get("after") ?? "";
  // The cursors of the previous pages: going back by offset gets slower with every page.
  const cursors = state?.cursors ?? [];
  const page = useLoad(
    (signal) => get(withQuery("/users", { q: search, after_id: after, limit: PAGE }), { signal }),
    [search, after],
  );

  const find = (q) => navigate(withQuery("/users", { q: q.trim() }));
  const goTo = (cursor, previous) =>
    navigate(withQuery("/users", { q: search, after: cursor }), { state: { cursors: previous } });
  const actions =
    may.userCreate &&
    html`<a class="button primary" href="/users/create"><${Icon} name="plus" /><span>New user</span></a>`;
  return html`<${Page} title="People" actions=${actions}>
    <${FilterBar} search=${search} onFind=${find} error=${page.error} />
    ${
      (!page.error || page.error.status !== 400) &&
      html`<${Loaded} from=${page}>${({ users, count }) => html`
      <${Table} users=${users} search=${search} />
      <${Pager} label="User pages" text=${positionText(users, count, after, cursors)}
        onBack=${after ? () => goTo(cursors.at(-1) ?? "", cursors.slice(0, -1)) : undefined}
        onForward=${count > users.length ? () => goTo(users.at(-1).id, [...cursors, after]) : undefined} />
    `}<//>`
    }
  <//>`;
}

/** With a cursor, the API counts the users after it. A link with a cursor has no position. */
function positionText(users, count, after, cursors) {
  if (after && cursors.length === 0) {
    return `${number(count)} more`;
  }
  const offset = cursors.length * PAGE;
  return rangeText(offset, users.length, offset + count);
}

function FilterBar({ search, onFind, error }) {
  const [text, setText] = useState(search);
  useEffect(() => setText(search), [search]);
  const errors = error?.status === 400 ? Object.entries(error.fields) : [];
  const submit = (event) => {
    event.preventDefault();
    onFind(text);
  };
  return html`<form class="filters" role="search" onSubmit=${submit}>
    <div class="search">
      <label class="hidden" for="users-search">Search people</label>
      <${Icon} name="search" />
      <input id="users-search" type="search" value=${text}
        placeholder="Name, e-mail address, or a filter such as status:active" autocomplete="off" spellcheck=${false}
        onInput=${(event) => setText(event.target.value)} aria-invalid=${errors.length ? "true" : undefined}
        aria-describedby="users-error" />
      <button class="button" type="submit">Search</button>
    </div>
    <div class="selects">${FILTERS.map((filter) => html`<${Filter} key=${filter.key} filter=${filter}
      text=${text} onFind=${onFind} />`)}</div>
    <p id="users-error" class="error"
      role="alert">${errors.map(([, detail]) => detail).join(" ") || (error?.status === 400 ? error.message : "")}</p>
  </form>`;
}

/** A select for one term of the search. */
function Filter({ filter: { key, label, options }, text, onFind }) {
  const term = new RegExp(`(^|\\s)${key}:(\\S+)`, "i");
  const value = term.exec(text)?.[2]?.toLowerCase() ?? "";
  const choose = (chosen) => {
    const rest = text.replace(term, " ").replace(/\s+/g, " ").trim();
    onFind(chosen ? `${rest} ${key}:${chosen}` : rest);
  };
  const all = options.includes(value) || !value ? options : [...options, value];
  return html`<label class="filter"><span>${label}</span>
    <select value=${value} onChange=${(event) => choose(event.target.value)} name=${key}>
      <option value="" selected=${!value}>Any</option>
      ${all.map((option) => html`<option key=${option} value=${option}
        selected=${option === value}>${option}</option>`)}
    </select>
  </label>`;
}

function Table({ users, search }) {
  if (users.length === 0) {
    return html`<${Empty} icon="people" title=${search ? "No users match" : "No users yet"}>
      <p>${search ? html`<a href="/users">Show all users</a>` : "Users that you may see appear here."}</p>
    <//>`;
  }
  return html`<table class="card users">
    <thead><tr><th scope="col">User</th><th scope="col">Roles</th><th scope="col">Status</th><th
      scope="col">Sign-in</th><th scope="col">Last seen</th></tr></thead>
    <tbody>${users.map((user) => html`<tr key=${user.id}>
      <th scope="row"><span class="user">
        <${Avatar} user=${user} />
        <span><a class="row-link" href="/users/${user.id}">${nameOf(user)}</a>
          <span class="help">${user.name ? `${user.username} · ` : ""}${user.email}</span></span>
      </span></th>
      <td data-label="Roles">
        <span>${user.roles.length === 0 ? "Member" : user.roles.map((role) => html`<${Badge}
        key=${role.name} tone="accent">${role.display_name || role.name}<//> `)}</span></td>
      <td data-label="Status"><${Status} status=${user.status} /></td>
      <td data-label="Sign-in">${loginTypeName(user.login_type)}</td>
      <td data-label="Last seen"><${Time} at=${user.last_seen_at} /></td>
    </tr>`,
    )}</tbody>
  </table>`;
}
