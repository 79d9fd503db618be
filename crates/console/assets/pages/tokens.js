/** Tokens for programs: made with scopes, an allow-list and a lifetime; shown once. */
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
    toast(`The token ${token.token_name} is deleted.`);
  };
  return html`<${Page} title="Tokens" actions=${create}>
    <${SettingsTabs} here="/settings/tokens" />
    <${Section} title="Your tokens"
      lead="A program that has one can do what you can, as far as the token reaches.">
      <${Loaded} from=${tokens}>${(list) =>
        list.length === 0
          ? html`<${Empty} icon="key" title="You have no tokens">
            <p>Make one for a program that should work in your name.</p><//>`
          : html`<${Table} tokens=${list} onDelete=${(token) => setDialog({ kind: "delete", token })} />`}<//>
    <//>
    ${
      dialog?.kind === "create" &&
      html`<${Create} keys=${keys} onClose=${close}
      onMade=${(name, key) => {
        setDialog({ kind: "made", name, key });
        tokens.reload();
      }} />`
    }
    ${
      dialog?.kind === "made" &&
      html`<${Dialog} title="Your new token" onClose=${close} isFirm>
      <p>Keep it now: it is not shown again.</p>
      <${CopyBox} label="Token ${dialog.name}" text=${dialog.key} isSecret />
      <div class="form-actions"><${Button} kind="primary" onClick=${close}>I have it<//></div>
    <//>`
    }
    ${
      dialog?.kind === "delete" &&
      html`<${Confirm} title="Delete the token ${dialog.token.token_name}?" action="Delete the token"
      onConfirm=${() => remove(dialog.token)} onClose=${close}>
      <p>Programs that use it stop working at once.</p>
    <//>`
    }
  <//>`;
}

function Table({ tokens, onDelete }) {
  const sorted = [...tokens].sort((a, b) => b.created_at.localeCompare(a.created_at));
  return html`<table>
    <thead><tr><th scope="col">Name</th><th scope="col">Reaches</th><th scope="col">Last used</th><th
      scope="col">Ends</th><th><span class="hidden">Actions</span></th></tr></thead>
    <tbody>${sorted.map((token) => html`<tr key=${token.id}>
      <th scope="row" data-label="Name">${token.token_name}</th>
      <td data-label="Reaches"><${Reach} token=${token} /></td>
      <td data-label="Last used"><${Time} at=${token.last_used} /></td>
      <td data-label="Ends">${new Date(token.expires_at) < new Date() ? html`<${Badge}
        tone="bad">ended<//>` : html`<${Time} at=${token.expires_at} />`}</td>
      <td class="row-actions"><${Button} kind="danger-quiet" onClick=${() => onDelete(token)}
        aria-label="Delete the token ${token.token_name}">Delete<//></td>
    </tr>`,
    )}</tbody>
  </table>`;
}

function Reach({ token }) {
  const scopes = token.scopes.includes("coder:all") ? "everything" : token.scopes.join(", ");
  const things = token.allow_list.includes("*:*") ? "" : ` of ${token.allow_list.join(", ")}`;
  return html`<span class="wrap">${scopes}${things}</span>`;
}

function Create({ keys, onClose, onMade }) {
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
    <${Loaded} from=${limits}>${(known) => html`<${CreateForm} ...${known} keys=${keys} onClose=${onClose}
      onMade=${onMade} />`}<//>
  <//>`;
}

function CreateForm({ keys, maxDays, scopes, onClose, onMade }) {
  const days = DAYS.filter((count) => count <= maxDays);
  const initial = {
    token_name: "",
    days: String(days.includes(7) ? 7 : (days.at(-1) ?? "other")),
    otherDays: "",
    isLimited: false,
    scopes: [],
    allow_list: "",
  };
  const form = useForm(
    initial,
    async (values) => {
      const count = Number(values.days === "other" ? values.otherDays : values.days);
      if (!(count > 0 && count <= maxDays)) {
        const otherDays = `A number of days, at most ${number(maxDays)}.`;
        throw new ApiError(400, otherDays, "", { otherDays });
      }
      // No scope would mean all of them.
      if (values.isLimited && values.scopes.length === 0) {
        throw new ApiError(400, "", "", { scopes: "Choose at least one." });
      }
      const body = {
        token_name: values.token_name.trim(),
        lifetime: Math.round(count * DAY_NANOSECONDS),
        scopes: values.isLimited ? values.scopes : ["coder:all"],
        allow_list: values.allow_list.split(/[\s,]+/).filter(Boolean),
      };
      const { key } = await post(`${keys}/tokens`, body).catch(explain);
      onMade(body.token_name, key);
    },
    { aliases: { name: "token_name", lifetime: "days", scope: "scopes" } },
  );
  const toggle = (scope, isOn) => {
    const others = form.values.scopes.filter((one) => one !== scope);
    form.set("scopes", isOn ? [...others, scope] : others);
  };
  const options = [
    ...days.map((count) => [String(count), count === 1 ? "1 day" : `${count} days`]),
    ["other", "Another number of days"],
  ];
  const allowList = form.bind("allow_list");
  return html`<form ...${form.props}>
    <${TextField} label="Name" help="What it is for. Without one, it gets a random name." autofocus
      autocomplete="off" optional ...${form.bind("token_name")} />
    <${SelectField} label="Lifetime" options=${options} help="At most ${number(maxDays)} days."
      ...${form.bind("days")} />
    ${form.values.days === "other" && html`<${TextField} label="Days" inputmode="decimal" autocomplete="off"
      ...${form.bind("otherDays")} />`}
    <fieldset>
      <legend>What it may do</legend>
      <${Checkbox} type="radio" name="reach" label="Everything that I may do"
        checked=${!form.values.isLimited} onChange=${() => form.set("isLimited", false)} />
      <${Checkbox} type="radio" name="reach" label="Only some of it" checked=${form.values.isLimited}
        onChange=${() => form.set("isLimited", true)} />
      ${form.values.isLimited && html`<${Scopes} scopes=${scopes} chosen=${form.values.scopes}
        onToggle=${toggle} error=${form.bind("scopes").error} />`}
    </fieldset>
    <details open=${Boolean(allowList.error || (form.failure && allowList.value))}>
      <summary>Only for certain things</summary>
      <${TextArea} label="Allow-list" optional rows="3"
        help="One to a line, such as user:3f2a… with the whole identifier, or task:* for all of a kind.
          Empty is everything."
        ...${allowList} />
    </details>
    <${Submit} form=${form} extra=${html`<${Button} onClick=${onClose}>Cancel<//>`}>Make the token<//>
  </form>`;
}

/** Which entry of the allow-list is wrong, the answer says in its detail only. */
function explain(error) {
  const [, detail] = /^allow_list: (.*)$/s.exec(error.detail ?? "") ?? [];
  throw detail
    ? new ApiError(error.status, error.message, "", { allow_list: `Wrong: ${detail}` })
    : error;
}

function Scopes({ scopes, chosen, onToggle, error }) {
  const kinds = Map.groupBy(
    scopes.filter((scope) => scope !== "coder:all"),
    (scope) => scope.split(":")[0],
  );
  return html`<div class="scopes" aria-invalid=${error ? "true" : undefined} tabindex="-1">
    ${[...kinds].map(
      ([kind, list]) => html`<fieldset key=${kind}>
      <legend>${kind.replaceAll("_", " ")}</legend>
      <div class="scope-list">${list.map((scope) => html`<${Checkbox} key=${scope}
        label=${scope.slice(kind.length + 1).replaceAll("_", " ")}
          checked=${chosen.includes(scope)}
        onChange=${(isOn) => onToggle(scope, isOn)} data-scope=${scope} />`,
      )}</div>
    </fieldset>`,
    )}
    ${error && html`<p class="error">${error}</p>`}
  </div>`;
}
