/** API tokens, with scopes, an allow list and a lifetime. A new token is shown once. */
import { ApiError, del, get, post, segment } from "../api.js";
import { html, useState } from "../preact.js";
import { useSession } from "../session.js";
import { SettingsTabs } from "../settings-tabs.js";
import {
  Badge,
  Button,
  Checkbox,
  Confirm,
  CopyBox,
  Dialog,
  Empty,
  Loaded,
  Page,
  Section,
  SelectField,
  Submit,
  TextArea,
  TextField,
  Time,
  focusHeading,
  number,
  toast,
  useForm,
  useLoad,
} from "../ui.js";

const DAY_NANOSECONDS = 86_400e9;
const DAYS = [1, 7, 30, 90, 365];

export default function Tokens() {
  const { me } = useSession();
  const keys = `/users/${segment(me.id)}/keys`;
  const tokens = useLoad(async (signal) => (await get(`${keys}/tokens`, { signal })) ?? []);
  const [dialog, setDialog] = useState(null);
  const close = () => setDialog(null);
  const create = html`<${Button} kind="primary" icon="plus"
    onClick=${() => setDialog({ kind: "create" })}>New token<//>`;
  const remove = async (token) => {
    await del(`${keys}/${segment(token.id)}`);
    close();
    tokens.reload();
    focusHeading();
    toast(`Token ${token.token_name} was deleted.`);
  };
  return html`<${Page} title="Tokens" actions=${create}>
    <${SettingsTabs} here="/settings/tokens" />
    <${Section} title="Your tokens"
      lead="Programs act as you, within the token's scope.">
      <${Loaded} from=${tokens}>${(list) =>
        list.length === 0
          ? html`<${Empty} icon="key" title="No tokens yet">
            <p>Create a token for a program that acts as you.</p><//>`
          : html`<${Table} tokens=${list} onDelete=${(token) => setDialog({ kind: "delete", token })} />`}<//>
    <//>
    ${
      dialog?.kind === "create" &&
      html`<${Create} keys=${keys} onClose=${close}
      onCreated=${(name, key) => {
        setDialog({ kind: "created", name, key });
        tokens.reload();
      }} />`
    }
    ${
      dialog?.kind === "created" &&
      html`<${Dialog} title="Token created" onClose=${close} ignoresEscape>
      <p>Copy it now. It won't be shown again.</p>
      <${CopyBox} label="Token ${dialog.name}" text=${dialog.key} isSecret />
      <div class="form-actions"><${Button} kind="primary" onClick=${close}>Done<//></div>
    <//>`
    }
    ${
      dialog?.kind === "delete" &&
      html`<${Confirm} title="Delete token ${dialog.token.token_name}?" action="Delete token"
      onConfirm=${() => remove(dialog.token)} onClose=${close}>
      <p>Programs that use it stop working immediately.</p>
    <//>`
    }
  <//>`;
}

function Table({ tokens, onDelete }) {
  const sorted = [...tokens].sort((a, b) => b.created_at.localeCompare(a.created_at));
  return html`<table>
    <thead><tr><th scope="col">Name</th><th scope="col">Scope</th><th scope="col">Last used</th><th
      scope="col">Expires</th><th><span class="hidden">Actions</span></th></tr></thead>
    <tbody>${sorted.map((token) => html`<tr key=${token.id}>
      <th scope="row" data-label="Name">${token.token_name}</th>
      <td data-label="Scope"><${Scope} token=${token} /></td>
      <td data-label="Last used"><${Time} at=${token.last_used} /></td>
      <td data-label="Expires">${new Date(token.expires_at) < new Date() ? html`<${Badge}
        tone="bad">expired<//>` : html`<${Time} at=${token.expires_at} />`}</td>
      <td class="row-actions"><${Button} kind="danger-quiet" onClick=${() => onDelete(token)}
        aria-label="Delete token ${token.token_name}">Delete<//></td>
    </tr>`,
    )}</tbody>
  </table>`;
}

function Scope({ token }) {
  const scopes = token.scopes.includes("coder:all") ? "Full access" : token.scopes.join(", ");
  const resources = token.allow_list.includes("*:*") ? "" : ` on ${token.allow_list.join(", ")}`;
  return html`<span class="wrap">${scopes}${resources}</span>`;
}

function Create({ keys, onClose, onCreated }) {
  const limits = useLoad(async (signal) => {
    const [config, scopes] = await Promise.all([
      get(`${keys}/tokens/tokenconfig`, { signal }),
      get("/auth/scopes", { signal }),
    ]);
    return {
      maxDays: config.max_token_lifetime / DAY_NANOSECONDS,
      scopes: scopes.external,
    };
  });
  return html`<${Dialog} title="New token" onClose=${onClose}>
    <${Loaded} from=${limits}>${(loaded) => html`<${CreateForm} ...${loaded} keys=${keys} onClose=${onClose}
      onCreated=${onCreated} />`}<//>
  <//>`;
}

function CreateForm({ keys, maxDays, scopes, onClose, onCreated }) {
  const days = DAYS.filter((count) => count <= maxDays);
  const initial = {
    token_name: "",
    days: String(days.includes(7) ? 7 : (days.at(-1) ?? "other")),
    otherDays: "",
    hasScopes: false,
    scopes: [],
    allow_list: "",
  };
  const form = useForm(
    initial,
    async (values) => {
      const count = Number(values.days === "other" ? values.otherDays : values.days);
      if (!(count > 0 && count <= maxDays)) {
        const otherDays = `Enter a number of days, at most ${number(maxDays)}.`;
        throw new ApiError(400, otherDays, "", { otherDays });
      }
      // The API takes an empty list as full access.
      if (values.hasScopes && values.scopes.length === 0) {
        throw new ApiError(400, "", "", { scopes: "Select at least one scope." });
      }
      const body = {
        token_name: values.token_name.trim(),
        lifetime: Math.round(count * DAY_NANOSECONDS),
        scopes: values.hasScopes ? values.scopes : ["coder:all"],
        allow_list: values.allow_list.split(/[\s,]+/).filter(Boolean),
      };
      const { key } = await post(`${keys}/tokens`, body).catch(explain);
      onCreated(body.token_name, key);
    },
    { aliases: { name: "token_name", lifetime: "days", scope: "scopes" } },
  );
  const options = [
    ...days.map((count) => [String(count), count === 1 ? "1 day" : `${count} days`]),
    ["other", "Custom"],
  ];
  const allowList = form.bind("allow_list");
  return html`<form ...${form.props}>
    <${TextField} label="Name" help="What the token is for. If empty, a random name is used." autofocus
      autocomplete="off" optional ...${form.bind("token_name")} />
    <${SelectField} label="Lifetime" options=${options} help="At most ${number(maxDays)} days."
      ...${form.bind("days")} />
    ${form.values.days === "other" && html`<${TextField} label="Days" inputmode="decimal" autocomplete="off"
      ...${form.bind("otherDays")} />`}
    <fieldset>
      <legend>Scope</legend>
      <${Checkbox} type="radio" name="scope" label="Full access"
        checked=${!form.values.hasScopes} onChange=${() => form.set("hasScopes", false)} />
      <${Checkbox} type="radio" name="scope" label="Selected scopes" checked=${form.values.hasScopes}
        onChange=${() => form.set("hasScopes", true)} />
      ${form.values.hasScopes && html`<${Scopes} scopes=${scopes} chosen=${form.values.scopes}
        onToggle=${(scope, isOn) => form.toggle("scopes", scope, isOn)} error=${form.bind("scopes").error} />`}
    </fieldset>
    <details open=${Boolean(allowList.error || (form.failure && allowList.value))}>
      <summary>Specific resources</summary>
      <${TextArea} label="Allow list" optional rows="3"
        help="One resource per line: user:<ID> for one, or task:* for all of a type. If empty, all resources."
        ...${allowList} />
    </details>
    <${Submit} form=${form} extra=${html`<${Button} onClick=${onClose}>Cancel<//>`}>Create token<//>
  </form>`;
}

/** The response names the invalid entry of the allow list in its detail only. */
function explain(error) {
  const [, detail] = /^allow_list: (.*)$/s.exec(error.detail ?? "") ?? [];
  throw detail
    ? new ApiError(error.status, error.message, "", { allow_list: `Invalid entry: ${detail}` })
    : error;
}

function Scopes({ scopes, chosen, onToggle, error }) {
  const resources = Map.groupBy(
    scopes.filter((scope) => scope !== "coder:all"),
    (scope) => scope.split(":")[0],
  );
  return html`<div class="scopes" aria-invalid=${error ? "true" : undefined} tabindex="-1">
    ${[...resources].map(
      ([resource, list]) => html`<fieldset key=${resource}>
      <legend>${resource.replaceAll("_", " ")}</legend>
      <div class="scope-list">${list.map((scope) => html`<${Checkbox} key=${scope}
        label=${scope.slice(resource.length + 1).replaceAll("_", " ")}
          checked=${chosen.includes(scope)}
        onChange=${(isOn) => onToggle(scope, isOn)} data-scope=${scope} />`,
      )}</div>
    </fieldset>`,
    )}
    ${error && html`<p class="error">${error}</p>`}
  </div>`;
}
