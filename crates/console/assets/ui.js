/** What pages are put together from: fields, buttons, dialogs, messages and lists. */
import { ApiError } from "./api.js";
import { Icon } from "./icons.js";
import { html, useEffect, useId, useLayoutEffect, useRef, useState } from "./preact.js";

/** A page: its heading takes the focus when one comes from another page. */
export function Page({ title, children, actions, lead }) {
  useEffect(() => {
    document.title = `${title} – Usher`;
  }, [title]);
  return html`
    <div class="page-head">
      <div>
        <h1 tabindex="-1">${title}</h1>
        ${lead && html`<p class="lead">${lead}</p>`}
      </div>
      ${actions && html`<div class="actions">${actions}</div>`}
    </div>
    ${children}
  `;
}

/** A part of a page with a heading of its own. */
export function Section({ title, lead, children, danger = false }) {
  const id = useId();
  return html`<section class=${danger ? "card danger-zone" : "card"} aria-labelledby=${id}>
    <h2 id=${id} tabindex="-1">${title}</h2>
    ${lead && html`<p class="help">${lead}</p>`}
    ${children}
  </section>`;
}

/**
 * The state of a form: its values, and after a failure what is wrong with which.
 *
 * @param {object} initial
 * @param {(values: object) => Promise<void>} submit
 * @param {{ aliases?: Record<string, string> }} options names of ours for fields that the
 *     API calls otherwise
 */
export function useForm(initial, submit, { aliases = {} } = {}) {
  const [values, setValues] = useState(initial);
  const [errors, setErrors] = useState({});
  const [failure, setFailure] = useState(null);
  const [isBusy, setIsBusy] = useState(false);
  const names = useRef(new Set());
  const element = useRef(null);

  useLayoutEffect(() => {
    if (Object.keys(errors).length) {
      element.current?.querySelector("[aria-invalid=true]")?.focus();
    }
  }, [errors]);

  const set = (name, value) => setValues((known) => ({ ...known, [name]: value }));
  const fail = (error) => {
    const [beside, apart] = [{}, []];
    for (const [field, detail] of Object.entries(error.fields ?? {})) {
      // What is wrong with one of a list is wrong with the list.
      const whole = field.replace(/[.[]\d+.*$/, "");
      const name = aliases[whole] ?? whole;
      if (names.current.has(name)) {
        beside[name] = beside[name] ? `${beside[name]} ${detail}` : detail;
      } else {
        apart.push(`${field}: ${detail}`);
      }
    }
    setErrors(beside);
    const isTold = Object.keys(beside).length > 0 && apart.length === 0;
    setFailure(
      isTold
        ? null
        : { message: error.message, detail: [error.detail, ...apart].filter(Boolean).join(" ") },
    );
  };
  const onSubmit = async (event) => {
    event.preventDefault();
    if (isBusy) {
      return;
    }
    setIsBusy(true);
    setErrors({});
    setFailure(null);
    try {
      await submit(values);
    } catch (error) {
      fail(asApiError(error));
    } finally {
      setIsBusy(false);
    }
  };
  const bind = (name) => {
    names.current.add(name);
    return {
      name,
      value: values[name],
      error: errors[name],
      onChange: (value) => set(name, value),
    };
  };
  return {
    values,
    set,
    setValues,
    bind,
    isBusy,
    failure,
    fail,
    props: { onSubmit, ref: element, noValidate: true },
  };
}

/** The error as something to be told; a fault of ours goes to the log besides. */
export function asApiError(error) {
  if (error instanceof ApiError) {
    return error;
  }
  console.error(error);
  return new ApiError(0, "Something went wrong in this page. Please reload it.");
}

/**
 * Loads what a page shows. What was there stays while it is loaded again.
 *
 * @param {(signal: AbortSignal) => Promise<any>} load
 */
export function useLoad(load, inputs = []) {
  const [state, setState] = useState({ isLoading: true });
  const [round, setRound] = useState(0);
  useEffect(() => {
    const abort = new AbortController();
    setState((known) => ({ ...known, isLoading: true }));
    load(abort.signal).then(
      (data) => abort.signal.aborted || setState({ data, isLoading: false }),
      (error) =>
        abort.signal.aborted ||
        setState((known) => ({ ...known, error: asApiError(error), isLoading: false })),
    );
    return () => abort.abort();
  }, [...inputs, round]);
  return {
    ...state,
    reload: () => setRound((count) => count + 1),
    setData: (data) => setState({ data, isLoading: false }),
  };
}

/** Shows what was loaded, or that it is on its way, or why it could not be had. */
export function Loaded({ from, children }) {
  const failure = from.error && html`<${Failure} error=${from.error} onAgain=${from.reload} />`;
  if (from.data === undefined) {
    return failure || html`<${Loading} />`;
  }
  return html`<div aria-busy=${from.isLoading} class="loaded">${failure}${children(from.data)}</div>`;
}

/** Why something could not be had. What is not there, or not for us, does not come by asking again. */
function Failure({ error, onAgain }) {
  const isFinal = error.status === 403 || error.status === 404;
  return html`<${Notice} kind="error" title=${error.message}>
    ${error.detail && html`<p>${error.detail}</p>`}
    ${!isFinal && html`<${Button} onClick=${onAgain}>Try again<//>`}
  <//>`;
}

export function Loading({ what = "Loading…" }) {
  return html`<p class="loading" role="status"><span class="spinner"></span>${what}</p>`;
}

export function Button({ kind = "", isBusy = false, type = "button", icon, children, ...rest }) {
  return html`<button type=${type} class="button ${kind}" aria-disabled=${isBusy} ...${rest}>
    ${isBusy ? html`<span class="spinner"></span>` : icon && html`<${Icon} name=${icon} />`}
    <span>${children}</span>
  </button>`;
}

/** The button that sends a form, and what the last attempt came to. */
export function Submit({ form, children, kind = "primary", extra }) {
  return html`
    ${form.failure && html`<${Notice} kind="error"
      title=${form.failure.message}>${form.failure.detail && html`<p>${form.failure.detail}</p>`}<//>`}
    <div class="form-actions">
      <${Button} type="submit" kind=${kind} isBusy=${form.isBusy}>${children}<//>
      ${extra}
    </div>
  `;
}

function Frame({ id, label, help, error, optional, children }) {
  return html`<div class="field">
    <label for=${id}>${label}${optional && html` <span class="optional">optional</span>`}</label>
    ${children}
    ${help && html`<p class="help" id="${id}-help">${help}</p>`}
    ${error && html`<p class="error" id="${id}-error">${error}</p>`}
  </div>`;
}

function described(id, help, error) {
  const ids = [help && `${id}-help`, error && `${id}-error`].filter(Boolean);
  return {
    "aria-describedby": ids.join(" ") || undefined,
    "aria-invalid": error ? "true" : undefined,
  };
}

export function TextField({ label, help, error, optional, name, value, onChange, ...rest }) {
  const id = useId();
  return html`<${Frame} ...${{ id, label, help, error, optional }}>
    <input id=${id} name=${name} type="text" value=${value} onInput=${(event) => onChange(event.target.value)}
      ...${described(id, help, error)} ...${rest} />
  <//>`;
}

export function TextArea({ label, help, error, optional, name, value, onChange, ...rest }) {
  const id = useId();
  return html`<${Frame} ...${{ id, label, help, error, optional }}>
    <textarea id=${id} name=${name} value=${value} onInput=${(event) => onChange(event.target.value)}
      ...${described(id, help, error)} ...${rest}></textarea>
  <//>`;
}

export function PasswordField({ label, help, error, name, value, onChange, ...rest }) {
  const id = useId();
  const [isShown, setIsShown] = useState(false);
  return html`<${Frame} ...${{ id, label, help, error }}>
    <span class="with-button">
      <input id=${id} name=${name} type=${isShown ? "text" : "password"} value=${value} spellcheck=${false}
        autocapitalize="off" onInput=${(event) => onChange(event.target.value)}
        ...${described(id, help, error)} ...${rest} />
      <button type="button" class="button quiet"
        aria-label="${isShown ? "Hide" : "Show"} ${label.toLowerCase()}"
        onClick=${() => setIsShown(!isShown)}>${isShown ? "Hide" : "Show"}</button>
    </span>
  <//>`;
}

/** @param {{ options: [string, string][] }} props value and words of each option */
export function SelectField({ label, help, error, name, value, onChange, options, ...rest }) {
  const id = useId();
  return html`<${Frame} ...${{ id, label, help, error }}>
    <select id=${id} name=${name} value=${value} onChange=${(event) => onChange(event.target.value)}
      ...${described(id, help, error)} ...${rest}>
      ${options.map(([key, words]) => html`<option key=${key} value=${key}
        selected=${key === value}>${words}</option>`)}
    </select>
  <//>`;
}

export function Checkbox({ label, help, checked, onChange, type = "checkbox", ...rest }) {
  const id = useId();
  return html`<div class="choice">
    <input id=${id} type=${type} checked=${checked} onChange=${(event) => onChange(event.target.checked)}
      aria-describedby=${help ? `${id}-help` : undefined} ...${rest} />
    <label for=${id}>${label}</label>
    ${help && html`<p class="help" id="${id}-help">${help}</p>`}
  </div>`;
}

/** A switch shows what is true: it moves when the server has said so. */
export function Switch({ label, help, isOn, isBusy, onTurn, strong = false }) {
  const id = useId();
  return html`<div class=${strong ? "switch strong" : "switch"}>
    <span class="switch-text">
      <label id="${id}-label" for=${id}>${label}</label>
      ${help && html`<span class="help" id="${id}-help">${help}</span>`}
    </span>
    <button id=${id} type="button" role="switch" aria-checked=${isOn} aria-disabled=${isBusy}
      aria-labelledby="${id}-label"
      aria-describedby=${help ? `${id}-help` : undefined} onClick=${() => isBusy || onTurn(!isOn)}>
      <span class="knob"></span>
    </button>
  </div>`;
}

const NOTICE_ICONS = { error: "alert", warning: "alert", success: "check" };

export function Notice({ kind = "info", title, children, onClose, ...rest }) {
  return html`<div class="notice ${kind}" role=${kind === "error" ? "alert" : undefined} ...${rest}>
    ${NOTICE_ICONS[kind] && html`<${Icon} name=${NOTICE_ICONS[kind]} />`}
    <div class="notice-text">
      <p class="notice-title">${title}</p>
      ${children}
    </div>
    ${
      onClose &&
      html`<button type="button" class="button quiet icon-only" onClick=${onClose} aria-label="Dismiss">
      <${Icon} name="close" />
    </button>`
    }
  </div>`;
}

/** A dialog, open as long as it is there. The browser gives the focus back when it closes. */
export function Dialog({ title, children, onClose, isFirm = false }) {
  const id = useId();
  const element = useRef(null);
  useLayoutEffect(() => {
    const dialog = element.current;
    dialog.showModal();
    return () => dialog.close();
  }, []);
  return html`<dialog ref=${element} aria-labelledby=${id}
    onCancel=${(event) => {
      event.preventDefault();
      if (!isFirm) onClose();
    }}>
    <h2 id=${id}>${title}</h2>
    ${children}
  </dialog>`;
}

/**
 * Asks before something that cannot be taken back. `typed`, if given, is a word that has to
 * be written first.
 */
export function Confirm({ title, children, action, typed, onConfirm, onClose }) {
  const form = useForm({ word: "" }, async ({ word }) => {
    if (typed && word !== typed) {
      throw new ApiError(0, "", "", { word: `Please write ${typed}, or cancel.` });
    }
    await onConfirm();
  });
  return html`<${Dialog} title=${title} onClose=${onClose}>
    <form ...${form.props}>
      ${children}
      ${typed && html`<${TextField} label="Write “${typed}” to confirm" autocomplete="off"
        ...${form.bind("word")} />`}
      <${Submit} form=${form} kind="danger" extra=${html`<${Button}
        onClick=${onClose}>Cancel<//>`}>${action}<//>
    </form>
  <//>`;
}

/** Copies a text, and where the browser does not let it selects the text instead. */
export function CopyBox({ label, text, isSecret = false }) {
  const id = useId();
  const [isCopied, setIsCopied] = useState(false);
  const copy = async () => {
    const field = document.getElementById(id);
    field.select();
    try {
      await navigator.clipboard.writeText(text);
      setIsCopied(true);
    } catch {
      // It is selected; the keyboard copies it.
    }
  };
  return html`<div class="field">
    <label for=${id}>${label}</label>
    <span class="with-button">
      <input id=${id} class="mono" readonly value=${text} autocomplete=${isSecret ? "off" : undefined} />
      <${Button} icon=${isCopied ? "check" : "copy"} onClick=${copy}>${isCopied ? "Copied" : "Copy"}<//>
    </span>
  </div>`;
}

export function Avatar({ user }) {
  const name = user.name || user.username;
  const letters = name
    .split(/[\s-]+/)
    .filter(Boolean)
    .slice(0, 2)
    .map((word) => [...word][0])
    .join("");
  return html`<span class="avatar" aria-hidden="true">${letters.toUpperCase()}</span>`;
}

const TONES = { active: "good", suspended: "bad", dormant: "calm" };

export function Badge({ children, tone = "calm" }) {
  return html`<span class="badge ${tone}">${children}</span>`;
}

export const Status = ({ status }) => html`<${Badge} tone=${TONES[status]}>${status}<//>`;

const TIMES = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

/** A moment; the year 1 stands for never. */
export function Time({ at, never = "never" }) {
  const time = new Date(at);
  if (!at || time.getUTCFullYear() <= 1) {
    return never;
  }
  return html`<time datetime=${at} title=${at}>${TIMES.format(time)}</time>`;
}

export function Empty({ title, children, icon }) {
  return html`<div class="empty">
    ${icon && html`<${Icon} name=${icon} />`}
    <p class="empty-title">${title}</p>
    ${children}
  </div>`;
}

/**
 * Gives the focus to the heading of the page once what is going away is gone, since a
 * button that goes away takes the focus with it.
 */
export function focusHeading() {
  setTimeout(() => document.querySelector("h1")?.focus());
}

/** The ways to the other pages of a list. Who takes one begins at the top of the list. */
export function Pager({ label, text, onBack, onForward }) {
  const element = useRef(null);
  const turn = (go) => () => {
    if (!go) {
      return;
    }
    go();
    const heading = element.current.closest("section")?.querySelector("h2");
    if (heading) {
      heading.focus();
    } else {
      document.querySelector("h1")?.focus({ preventScroll: true });
      scrollTo(0, 0);
    }
  };
  return html`<nav class="pager" aria-label=${label} ref=${element}>
    <span class="help" role="status">${text}</span>
    <span class="pager-buttons">
      <${Button} icon="back" aria-disabled=${!onBack} onClick=${turn(onBack)}>Previous<//>
      <${Button} icon="forward" kind="trailing" aria-disabled=${!onForward} onClick=${turn(onForward)}>Next<//>
    </span>
  </nav>`;
}

const NUMBERS = new Intl.NumberFormat();

export const number = (value) => NUMBERS.format(value);

/** A message that goes by itself; screen readers speak it. */
const toasts = new EventTarget();

export function toast(text, kind = "success") {
  toasts.dispatchEvent(Object.assign(new Event("toast"), { toast: { text, kind } }));
}

const TOAST_MILLISECONDS = 6000;

export function Toasts() {
  const [shown, setShown] = useState([]);
  useEffect(() => {
    const add = ({ toast: added }) => {
      setShown((known) => [...known, added]);
      setTimeout(
        () => setShown((known) => known.filter((one) => one !== added)),
        TOAST_MILLISECONDS,
      );
    };
    toasts.addEventListener("toast", add);
    return () => toasts.removeEventListener("toast", add);
  }, []);
  return html`<div class="toasts" role="status" aria-live="polite">
    ${shown.map((one) => html`<p class="toast ${one.kind}" key=${one}>
      <${Icon} name=${one.kind === "error" ? "alert" : "check"} />${one.text}
    </p>`,
    )}
  </div>`;
}

/** A password that nobody guesses, of letters that nobody takes for one another. */
export function makePassword() {
  const letters = "abcdefghjkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
  const numbers = crypto.getRandomValues(new Uint32Array(20));
  return Array.from(numbers, (number) => letters[number % letters.length]).join("");
}
