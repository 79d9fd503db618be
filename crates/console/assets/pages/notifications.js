/** Which notifications one gets, by kind, each with a switch and one for the kind. */
import { clearsDismissal, isDisabled } from "../alert.js";
import { get, put, segment } from "../api.js";
import { html, useEffect, useState } from "../preact.js";
import { navigate } from "../router.js";
import { useSession } from "../session.js";
import { SettingsTabs } from "../settings-tabs.js";
import { Button, Loaded, Notice, Page, Switch, asApiError, toast, useLoad } from "../ui.js";

/** The kinds in the order of the page; `may` names what one needs to get any of them. */
const GROUPS = [
  { group: "Task Events", words: "Tasks", id: "tasks" },
  { group: "Workspace Events", words: "Workspaces", id: "workspaces" },
  { group: "User Events", words: "People", id: "people", may: "userCreate" },
  { group: "Template Events", words: "Templates", id: "templates", may: "templateCreate" },
  { group: "Custom Events", words: "Messages to yourself", id: "custom" },
];

const WAYS = { smtp: "By mail", webhook: "By webhook", inbox: "In the inbox" };

export default function Notifications({ query }) {
  const { me } = useSession();
  const known = useLoad(
    async (signal) => {
      const [choices, system, custom, methods, preferences] = await Promise.all([
        get(choicesPath(me), { signal }),
        get("/notifications/templates/system", { signal }),
        get("/notifications/templates/custom", { signal }),
        get("/notifications/dispatch-methods", { signal }),
        // A switch works without them; only the dismissal is left alone then.
        get("/users/me/preferences", { signal }).catch(() => null),
      ]);
      return { choices: choices ?? [], templates: [...system, ...custom], methods, preferences };
    },
    [me.id],
  );
  return html`<${Page} title="Notifications">
    <${SettingsTabs} here="/settings/notifications" />
    <${Loaded} from=${known}>${(data) => html`<${Groups} ...${data} asked=${query.get("disabled")}
      onChoices=${(choices) => known.setData({ ...data, choices })} />`}<//>
  <//>`;
}

const choicesPath = (me) => `/users/${segment(me.id)}/notifications/preferences`;

function Groups({ templates, choices, methods, preferences, asked, onChoices }) {
  const { me, may } = useSession();
  const [busy, setBusy] = useState([]);
  const [failure, setFailure] = useState(null);
  useEffect(() => {
    document.getElementById(location.hash.slice(1))?.scrollIntoView();
  }, []);

  /** Saves what was switched; the switches follow what the server answers. Tells whether it did. */
  const turn = async (disabled) => {
    const ids = Object.keys(disabled);
    setBusy(ids);
    setFailure(null);
    try {
      onChoices((await put(choicesPath(me), { template_disabled_map: disabled })) ?? []);
      if (preferences && clearsDismissal(templates, disabled)) {
        const path = `/users/${segment(me.id)}/preferences`;
        await put(path, { task_notification_alert_dismissed: false });
      }
      return true;
    } catch (error) {
      setFailure(asApiError(error));
      return false;
    } finally {
      setBusy([]);
    }
  };
  const props = { choices, methods, busy, onTurn: turn };
  const shown = GROUPS.filter((kind) => !kind.may || may[kind.may]);
  return html`
    <${Asked} template=${templates.find((template) => template.id === asked)} choices=${choices}
      onTurn=${turn} />
    ${failure && html`<${Notice} kind="error"
      title=${failure.message}>${failure.detail && html`<p>${failure.detail}</p>`}<//>`}
    ${shown.map((kind) => html`<${Group} key=${kind.group} kind=${kind}
      templates=${templates.filter(({ group }) => group === kind.group)} ...${props} />`)}
  `;
}

function Group({ kind, templates, choices, methods, busy, onTurn }) {
  if (templates.length === 0) {
    return null;
  }
  const isOn = (template) => !isDisabled(template, choices);
  const all = (disabled) => Object.fromEntries(templates.map(({ id }) => [id, disabled]));
  return html`<section class="card switches" id=${kind.id} aria-label=${kind.words} data-group=${kind.group}>
    <${Switch} strong label=${kind.words} isOn=${templates.every(isOn)} isBusy=${busy.length > 1}
      onTurn=${(turnOn) => onTurn(all(!turnOn))} />
    ${templates.map((template) => html`<${Switch} key=${template.id} label=${template.name}
      help=${WAYS[template.method || methods.default]} isOn=${isOn(template)} isBusy=${busy.includes(template.id)}
      onTurn=${(turnOn) => onTurn({ [template.id]: !turnOn })} />`,
    )}
  </section>`;
}

/**
 * What a mail's link asks for: to turn its kind off. Anybody may write such a link, so it
 * takes a click here.
 */
function Asked({ template, choices, onTurn }) {
  const [isDone, setIsDone] = useState(false);
  if (!template || isDone || isDisabled(template, choices)) {
    return null;
  }
  const done = () => {
    setIsDone(true);
    navigate("/settings/notifications", { replace: true });
  };
  const turnOff = async () => {
    if (!(await onTurn({ [template.id]: true }))) {
      return;
    }
    toast(`“${template.name}” is off.`);
    done();
  };
  return html`<${Notice} title="Turn off “${template.name}”?" onClose=${done}>
    <${Button} kind="primary" onClick=${turnOff}>Turn it off<//>
  <//>`;
}
