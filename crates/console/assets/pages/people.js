/** Everybody that one may see: found by the search of the API, a page at a time. */
import { get } from "../api.js";
import { Icon } from "../icons.js";
import { withQuery } from "../paths.js";
import { html, useEffect, useState } from "../preact.js";
import { navigate } from "../router.js";
import { nameOf, useSession } from "../session.js";
import { Avatar, Badge, Empty, Loaded, Page, Pager, Status, Time, number, useLoad } from "../ui.js";

const PAGE = 25;

const FILTERS = [
  { key: "status", words: "Status", options: ["active", "dormant", "suspended"] },
  { key: "role", words: "Role", options: ["owner", "user-admin", "template-admin", "auditor"] },
  { key: "login_type", words: "Sign-in", options: ["password", "github", "oidc", "none"] },
];

export default function People({ query, state }) {
  const { may } = useSession();
  // Links in notifications say `filter`, as the reference's pages do.
  const search = query.get("q") ?? query.get("filter") ?? "";
  const after = query.get("after") ?? "";
  // The cursors of the pages before, so that one gets back without an offset, which would
  // take the longer the further one is.
  const trail = state?.trail ?? [];
  const people = useLoad(
    (signal) => get(withQuery("/users", { q: search, after_id: after, limit: PAGE }), { signal }),
    [search, after],
  );

  const find = (q) => navigate(withQuery("/users", { q: q.trim() }));
  const go = (cursor, cursors) =>
    navigate(withQuery("/users", { q: search, after: cursor }), { state: { trail: cursors } });
  const actions =
    may.userCreate &&
    html`<a class="button primary" href="/users/create"><${Icon} name="plus" /><span>New person</span></a>`;
  return html`<${Page} title="People" actions=${actions}>
    <${FilterBar} search=${search} onFind=${find} error=${people.error} />
    ${
      (!people.error || people.error.status !== 400) &&
      html`<${Loaded} from=${people}>${({ users, count }) => html`
      <${Table} people=${users} search=${search} />
      <${Pager} label="Pages of people" text=${position(users, count, after, trail)}
        onBack=${after ? () => go(trail.at(-1) ?? "", trail.slice(0, -1)) : undefined}
        onForward=${count > users.length ? () => go(users.at(-1).id, [...trail, after]) : undefined} />
    `}<//>`
    }
  <//>`;
}

function position(users, count, after, trail) {
  if (users.length === 0) {
    return "Nobody";
  }
  const isKnown = !after || trail.length > 0;
  if (!isKnown) {
    return `${number(count)} from here on`;
  }
  const before = trail.length * PAGE;
  return `${number(before + 1)}–${number(before + users.length)} of ${number(before + count)}`;
}

function FilterBar({ search, onFind, error }) {
  const [text, setText] = useState(search);
  useEffect(() => setText(search), [search]);
  const faults = error?.status === 400 ? Object.entries(error.fields) : [];
  const submit = (event) => {
    event.preventDefault();
    onFind(text);
  };
  return html`<form class="filters" role="search" onSubmit=${submit}>
    <div class="search">
      <label class="hidden" for="people-search">Search people</label>
      <${Icon} name="search" />
      <input id="people-search" type="search" value=${text}
        placeholder="Name, address, or a filter such as status:active" autocomplete="off" spellcheck=${false}
        onInput=${(event) => setText(event.target.value)} aria-invalid=${faults.length ? "true" : undefined}
        aria-describedby="people-faults" />
      <button class="button" type="submit">Search</button>
    </div>
    <div class="selects">${FILTERS.map((filter) => html`<${Filter} key=${filter.key} filter=${filter}
      text=${text} onFind=${onFind} />`)}</div>
    <p id="people-faults" class="error"
      role="alert">${faults.map(([, detail]) => detail).join(" ") || (error?.status === 400 ? error.message : "")}</p>
  </form>`;
}

/** Reads and writes one term of the search. */
function Filter({ filter: { key, words, options }, text, onFind }) {
  const term = new RegExp(`(^|\\s)${key}:(\\S+)`, "i");
  const value = term.exec(text)?.[2]?.toLowerCase() ?? "";
  const choose = (chosen) => {
    const rest = text.replace(term, " ").replace(/\s+/g, " ").trim();
    onFind(chosen ? `${rest} ${key}:${chosen}` : rest);
  };
  const known = options.includes(value) || !value ? options : [...options, value];
  return html`<label class="filter"><span>${words}</span>
    <select value=${value} onChange=${(event) => choose(event.target.value)} name=${key}>
      <option value="" selected=${!value}>Any</option>
      ${known.map((option) => html`<option key=${option} value=${option}
        selected=${option === value}>${option}</option>`)}
    </select>
  </label>`;
}

function Table({ people, search }) {
  if (people.length === 0) {
    return html`<${Empty} icon="people" title=${search ? "Nobody matches" : "Nobody is here"}>
      ${search && html`<p><a href="/users">Show everybody</a></p>`}
    <//>`;
  }
  return html`<table class="card people">
    <thead><tr><th scope="col">Person</th><th scope="col">Roles</th><th scope="col">Status</th><th
      scope="col">Sign-in</th><th scope="col">Last seen</th></tr></thead>
    <tbody>${people.map((user) => html`<tr key=${user.id}>
      <th scope="row"><span class="person">
        <${Avatar} user=${user} />
        <span><a class="row-link" href="/users/${user.id}">${nameOf(user)}</a>
          <span class="help">${user.name ? `${user.username} · ` : ""}${user.email}</span></span>
      </span></th>
      <td data-label="Roles">
        <span>${user.roles.length === 0 ? "Member" : user.roles.map((role) => html`<${Badge}
        key=${role.name} tone="accent">${role.display_name || role.name}<//> `)}</span></td>
      <td data-label="Status"><${Status} status=${user.status} /></td>
      <td data-label="Sign-in">${user.login_type}</td>
      <td data-label="Last seen"><${Time} at=${user.last_seen_at} /></td>
    </tr>`,
    )}</tbody>
  </table>`;
}
