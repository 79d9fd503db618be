/** The tasks, and the warning that nobody will be told about them. */
import { warns } from "../alert.js";
import { get, put, segment } from "../api.js";
import { html, useEffect, useState } from "../preact.js";
import { useSession } from "../session.js";
import { Empty, Loaded, Notice, Page, Section, toast, useLoad } from "../ui.js";

/** How long the templates wait for the rest, so that no warning flashes by. */
const PATIENCE_MILLISECONDS = 500;

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
    return html`<${Empty} icon="tasks" title="There are no tasks">
      <p>Usher keeps people, not workspaces. Tasks that run elsewhere are listed by the program that runs them.</p>
    <//>`;
  }
  return html`<ul class="plain-list">
    ${tasks.map((task) => html`<li key=${task.id}>${task.display_name || task.name || task.id}</li>`)}
  </ul>`;
}

function TaskAlert() {
  const { me } = useSession();
  const [known, setKnown] = useState({});
  useEffect(() => {
    const abort = new AbortController();
    const learn = (name, loading) =>
      loading.then(
        (value) => abort.signal.aborted || setKnown((before) => ({ ...before, [name]: value })),
        // What could not be had is not known, and the warning goes by the rest.
        () => {},
      );
    const { signal } = abort;
    const rest = [
      learn(
        "choices",
        get(`/users/${segment(me.id)}/notifications/preferences`, { signal }).then(
          (list) => list ?? [],
        ),
      ),
      learn("preferences", get("/users/me/preferences", { signal })),
    ];
    const isLate = new Promise((resolve) => setTimeout(resolve, PATIENCE_MILLISECONDS));
    const others = Promise.race([Promise.all(rest), isLate]);
    learn(
      "templates",
      get("/notifications/templates/system", { signal }).then((list) => others.then(() => list)),
    );
    return () => abort.abort();
  }, [me.id]);

  const dismiss = async () => {
    const preferences = { task_notification_alert_dismissed: true };
    setKnown((before) => ({ ...before, preferences }));
    document.querySelector("h1").focus();
    try {
      await put(`/users/${segment(me.id)}/preferences`, preferences);
    } catch {
      toast("That could not be saved, so the warning will be back.", "error");
    }
  };
  return html`<div aria-live="polite">
    ${
      warns(known) &&
      html`<${Notice} kind="warning" title="Task notifications are off" onClose=${dismiss} data-alert="tasks">
      <p>You will not be told when a task starts to work, waits for you, is completed or fails.${" "}
        <a href="/settings/notifications#tasks">Turn notifications on</a></p>
    <//>`
    }
  </div>`;
}
