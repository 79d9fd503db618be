/** Notification preferences: a switch for each notification, and one for each group. */
import { clearsDismissal, isDisabled } from "../alert.js";
import { get, put, segment } from "../api.js";
import { navigate } from "../navigation.js";
import { html, useEffect, useState } from "../preact.js";
import { useSession } from "../session.js";
import { SettingsTabs } from "../settings-tabs.js";
import { Button, Loaded, Notice, Page, Switch, asApiError, toast, useLoad } from "../ui.js";

/** The groups in the order of the page; `may` is the permission to receive any of them. */
const GROUPS = [
  { group: "Task Events", label: "Tasks", id: "tasks" },
  { group: "Workspace Events", label: "Workspaces", id: "workspaces" },
  { group: "User Events", label: "People", id: "people", may: "userCreate" },
  { group: "Template Events", label: "Templates", id: "templates", may: "templateCreate" },
  { group: "Custom Events", label: "Custom messages", id: "custom" },
];

const METHODS = { smtp: "By e-mail", webhook: "By webhook", inbox: "In the inbox" };

export default function Notifications({ query }) {
  const { me } = useSession();
  const preferences = useLoad(
    async (signal) => {
      const [choices, system, custom, methods, taskAlert] = await Promise.all([
        get(choicesPath(me), { signal }),
        get("/notifications/templates/system", { signal }),
        get("/notifications/templates/custom", { signal }),
        get("/notifications/dispatch-methods", { signal }),
        // Without them the switches still work, and the dismissal of the task warning stays.
        get("/users/me/preferences", { signal }).catch(() => null),
      ]);
      return { choices: choices ?? [], templates: [...system, ...custom], methods, taskAlert };
    },
    [me.id],
  );
  return html`<${Page} title="Notifications">
    <${SettingsTabs} here="/settings/notifications" />
    <${Loaded} from=${preferences}>${(data) => html`<${Groups} ...${data} requested=${query.get("disabled")}
      onChoices=${(choices) => preferences.setData({ ...data, choices })} />`}<//>
  <//>`;
}

const choicesPath = (me) => `/users/${segment(me.id)}/notifications/preferences`;

function Groups({ templates, choices, methods, taskAlert, requested, onChoices }) {
  const { me, may } = useSession();
  const [busy, setBusy] = useState([]);
  const [failure, setFailure] = useState(null);
  useEffect(() => {
    document.getElementById(location.hash.slice(1))?.scrollIntoView();
  }, []);

  /** Saves a change and updates the switches from the response. Returns whether it succeeded. */
  const save = async (disabled) => {
    const ids = Object.keys(disabled);
    setBusy(ids);
    setFailure(null);
    try {
      onChoices((await put(choicesPath(me), { template_disabled_map: disabled })) ?? []);
      if (taskAlert && clearsDismissal(templates, disabled)) {
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
  const props = { choices, methods, busy, onChange: save };
  const shown = GROUPS.filter((group) => !group.may || may[group.may]);
  return html`
    <${Unsubscribe} template=${templates.find((template) => template.id === requested)}
      choices=${choices} onChange=${save} />
    ${failure && html`<${Notice} kind="error"
      title=${failure.message}>${failure.detail && html`<p>${failure.detail}</p>`}<//>`}
    ${shown.map(({ group, ...rest }) => html`<${Group} key=${group} group=${group} ...${rest}
      templates=${templates.filter((template) => template.group === group)} ...${props} />`)}
  `;
}

function Group({ group, label, id, templates, choices, methods, busy, onChange }) {
  if (templates.length === 0) {
    return null;
  }
  const isOn = (template) => !isDisabled(template, choices);
  const all = (disabled) => Object.fromEntries(templates.map(({ id }) => [id, disabled]));
  return html`<section class="card switches" id=${id} aria-label=${label} data-group=${group}>
    <${Switch} strong label=${label} isOn=${templates.every(isOn)} isBusy=${busy.length > 1}
      onToggle=${(enable) => onChange(all(!enable))} />
    ${templates.map((template) => html`<${Switch} key=${template.id} label=${template.name}
      help=${METHODS[template.method || methods.default]} isOn=${isOn(template)} isBusy=${busy.includes(template.id)}
      onToggle=${(enable) => onChange({ [template.id]: !enable })} />`,
    )}
  </section>`;
}

/**
 * Offers to turn off the notification that a link from an e-mail names. It takes a click,
 * since anyone can write such a link.
 */
function Unsubscribe({ template, choices, onChange }) {
  const [isDone, setIsDone] = useState(false);
  if (!template || isDone || isDisabled(template, choices)) {
    return null;
  }
  const close = () => {
    setIsDone(true);
    navigate("/settings/notifications", { replace: true });
  };
  const turnOff = async () => {
    if (!(await onChange({ [template.id]: true }))) {
      return;
    }
    toast(`“${template.name}” turned off.`);
    close();
  };
  return html`<${Notice} title="Turn off “${template.name}”?" onClose=${close}>
    <${Button} kind="primary" onClick=${turnOff}>Turn off<//>
  <//>`;
}
