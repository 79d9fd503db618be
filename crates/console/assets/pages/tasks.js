/** The tasks, and the warning that task notifications are off. */
import { warns } from "../alert.js";
import { get, put, segment } from "../api.js";
import { html, useEffect, useState } from "../preact.js";
import { useSession } from "../session.js";
import { Empty, Loaded, Notice, Page, Section, toast, useLoad } from "../ui.js";

/** How long to wait for preferences before warning, so that the warning does not flash. */
const WAIT_MILLISECONDS = 500;

export default function Tasks() {
  const tasks = useLoad((signal) => get("/tasks", { signal }));
  return html`<${Page} title="Tasks">
    <${TaskAlert} />
    <${Section} title="Your tasks">
      <${Loaded} from=${tasks}>${({ tasks: list }) => html`<${List} tasks=${list} />`}<//>
    <//>
  <//>`;
}

function List({ tasks }) {
  if (tasks.length === 0) {
    return html`<${Empty} icon="tasks" title="No tasks yet">
      <p>Tasks appear in the app that runs them.</p>
    <//>`;
  }
  return html`<ul class="plain-list">
    ${tasks.map((task) => html`<li key=${task.id}>${task.display_name || task.name || task.id}</li>`)}
  </ul>`;
}

function TaskAlert() {
  const { me } = useSession();
  const [data, setData] = useState({});
  useEffect(() => {
    const abort = new AbortController();
    const load = (name, response) =>
      response.then(
        (value) => abort.signal.aborted || setData((current) => ({ ...current, [name]: value })),
        // Data that fails to load stays undefined, which `warns` handles.
        () => {},
      );
    const { signal } = abort;
    const preferences = [
      load(
        "choices",
        get(`/users/${segment(me.id)}/notifications/preferences`, { signal }).then(
          (list) => list ?? [],
        ),
      ),
      load("preferences", get("/users/me/preferences", { signal })),
    ];
    const timeout = new Promise((resolve) => setTimeout(resolve, WAIT_MILLISECONDS));
    const ready = Promise.race([Promise.all(preferences), timeout]);
    load(
      "templates",
      get("/notifications/templates/system", { signal }).then((list) => ready.then(() => list)),
    );
    return () => abort.abort();
  }, [me.id]);

  const dismiss = async () => {
    const preferences = { task_notification_alert_dismissed: true };
    setData((current) => ({ ...current, preferences }));
    document.querySelector("h1").focus();
    try {
      await put(`/users/${segment(me.id)}/preferences`, preferences);
    } catch {
      toast("Could not save. The warning will show again.", "error");
    }
  };
  return html`<div aria-live="polite">
    ${
      warns(data) &&
      html`<${Notice} kind="warning" title="Task notifications are off" onClose=${dismiss} data-alert="tasks">
      <p>You won't be notified when a task starts, needs input, completes or fails.${" "}
        <a href="/settings/notifications#tasks">Turn notifications on</a></p>
    <//>`
    }
  </div>`;
}
