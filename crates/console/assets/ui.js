/** The components of pages: forms, buttons, dialogs, messages and lists. */
import { ApiError } from "./api.js";
import { Icon } from "./icons.js";
import { html, useEffect, useId, useLayoutEffect, useRef, useState } from "./preact.js";

/** A page. Its heading gets the focus after navigation. */
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

/** A section of a page, with a heading. */
export function Section({ title, lead, children, danger = false }) {
  const id = useId();
  return html`<section class=${danger ? "card danger-zone" : "card"} aria-labelledby=${id}>
    <h2 id=${id} tabindex="-1">${title}</h2>
    ${lead && html`<p class="help">${lead}</p>`}
    ${children}
  </section>`;
}

/**
 * The state of a form: its values and, after a failed submit, its errors.
 *
 * @param {object} initial
 * @param {(values: object) => Promise<void>} submit
 * @param {{ required?: Record<string, string>, aliases?: Record<string, string> }} options
 *     `required`: errors for fields that are left empty; `aliases`: form fields by the names
 *     that the API has for them
 */
export function useForm(initial, submit, { required = {}, aliases = {} } = {}) {
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

  const set = (name, value) => setValues((current) => ({ ...current, [name]: value }));
  /** Adds an item to the list in a field, or removes it. */
  const toggle = (name, item, isIncluded) => {
    const others = values[name].filter((one) => one !== item);
    set(name, isIncluded ? [...others, item] : others);
  };
  const fail = (error) => {
    const [fieldErrors, otherErrors] = [{}, []];
    for (const [field, detail] of Object.entries(error.fields ?? {})) {
      // An error of a list element is shown at the list.
      const list = field.replace(/[.[]\d+.*$/, "");
      const name = aliases[list] ?? list;
      if (names.current.has(name)) {
        fieldErrors[name] = fieldErrors[name] ? `${fieldErrors[name]} ${detail}` : detail;
      } else {
        otherErrors.push(`${field}: ${detail}`);
      }
    }
    setErrors(fieldErrors);
    const hasOnlyFieldErrors = Object.keys(fieldErrors).length > 0 && otherErrors.length === 0;
    const detail = [error.detail, ...otherErrors].filter(Boolean).join(" ");
    setFailure(hasOnlyFieldErrors ? null : { message: error.message, detail });
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
      const missing = Object.entries(required).filter(
        ([name]) => element.current.elements.namedItem(name) && !values[name].trim(),
      );
      if (missing.length) {
        throw new ApiError(0, "", "", Object.fromEntries(missing));
      }
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
    toggle,
    setValues,
    bind,
    isBusy,
    failure,
    fail,
    props: { onSubmit, ref: element, noValidate: true },
  };
}

/** Returns the error as an `ApiError`. Any other error is a bug and is logged. */
export function asApiError(error) {
  if (error instanceof ApiError) {
    return error;
  }
  console.error(error);
  return new ApiError(0, "This page failed. Reload it.");
}

/**
 * Loads the data of a page. The current data stays while it is loaded again.
 *
 * @param {(signal: AbortSignal) => Promise<any>} load
 */
export function useLoad(load, inputs = []) {
  const [state, setState] = useState({ isLoading: true });
  const [attempt, setAttempt] = useState(0);
  useEffect(() => {
    const abort = new AbortController();
    setState((current) => ({ ...current, isLoading: true }));
    load(abort.signal).then(
      (data) => abort.signal.aborted || setState({ data, isLoading: false }),
      (error) =>
        abort.signal.aborted ||
        setState((current) => ({ ...current, error: asApiError(error), isLoading: false })),
    );
    return () => abort.abort();
  }, [...inputs, attempt]);
  return {
    ...state,
    reload: () => setAttempt((count) => count + 1),
    setData: (data) => setState({ data, isLoading: false }),
  };
}

/** Shows the loaded data, the progress, or the error. */
export function Loaded({ from, children }) {
  const failure = from.error && html`<${Failure} error=${from.error} onRetry=${from.reload} />`;
  if (from.data === undefined) {
    return failure || html`<${Loading} />`;
  }
  return html`<div aria-busy=${from.isLoading} class="loaded">${failure}${children(from.data)}</div>`;
}

/** A failed load. Retrying does not help if the resource is missing or forbidden. */
function Failure({ error, onRetry }) {
  const isFinal = error.status === 403 || error.status === 404;
  return html`<${Notice} kind="error" title=${error.message}>
    ${error.detail && html`<p>${error.detail}</p>`}
    ${!isFinal && html`<${Button} onClick=${onRetry}>Try again<//>`}
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

/** The submit button of a form, and the error of the last attempt. */
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

/** @param {{ options: [string, string][] }} props value and label of each option */
export function SelectField({ label, help, error, name, value, onChange, options, ...rest }) {
  const id = useId();
  return html`<${Frame} ...${{ id, label, help, error }}>
    <select id=${id} name=${name} value=${value} onChange=${(event) => onChange(event.target.value)}
      ...${described(id, help, error)} ...${rest}>
      ${options.map(([key, optionLabel]) => html`<option key=${key} value=${key}
        selected=${key === value}>${optionLabel}</option>`)}
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

/** A switch shows the stored state: it moves once the server has saved the change. */
export function Switch({ label, help, isOn, isBusy, onToggle, strong = false }) {
  const id = useId();
  return html`<div class=${strong ? "switch strong" : "switch"}>
    <span class="switch-text">
      <label id="${id}-label" for=${id}>${label}</label>
      ${help && html`<span class="help" id="${id}-help">${help}</span>`}
    </span>
    <button id=${id} type="button" role="switch" aria-checked=${isOn} aria-disabled=${isBusy}
      aria-labelledby="${id}-label"
      aria-describedby=${help ? `${id}-help` : undefined} onClick=${() => isBusy || onToggle(!isOn)}>
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

/**
 * A modal dialog, open while it is rendered. The browser restores the focus when it closes.
 * Escape closes it unless it `ignoresEscape`.
 */
export function Dialog({ title, children, onClose, ignoresEscape = false }) {
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
      if (!ignoresEscape) onClose();
    }}>
    <h2 id=${id}>${title}</h2>
    ${children}
  </dialog>`;
}

/** Asks for confirmation. If `typed` is given, the user has to type it first. */
export function Confirm({ title, children, action, typed, onConfirm, onClose }) {
  const form = useForm({ confirmation: "" }, async ({ confirmation }) => {
    if (typed && confirmation !== typed) {
      throw new ApiError(0, "", "", { confirmation: "That doesn't match." });
    }
    await onConfirm();
  });
  return html`<${Dialog} title=${title} onClose=${onClose}>
    <form ...${form.props}>
      ${children}
      ${typed && html`<${TextField} label="Type “${typed}” to confirm" autocomplete="off"
        ...${form.bind("confirmation")} />`}
      <${Submit} form=${form} kind="danger" extra=${html`<${Button}
        onClick=${onClose}>Cancel<//>`}>${action}<//>
    </form>
  <//>`;
}

/** A text with a copy button. It is selected too, in case the browser denies clipboard access. */
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
      // The text is selected, so it can be copied by keyboard.
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

const LOGIN_TYPES = {
  password: "Password",
  github: "GitHub",
  oidc: "OpenID Connect",
  none: "API tokens only",
  token: "API tokens only",
};

/** The name of a login type. */
export const loginTypeName = (type) => LOGIN_TYPES[type] ?? type;

/** The names of roles; members have none. */
export const roleNames = (roles) =>
  roles.map((role) => role.display_name || role.name).join(", ") || "Member";

export function Avatar({ user }) {
  const name = user.name || user.username;
  const initials = name
    .split(/[\s-]+/)
    .filter(Boolean)
    .slice(0, 2)
    .map((word) => [...word][0])
    .join("");
  return html`<span class="avatar" aria-hidden="true">${initials.toUpperCase()}</span>`;
}

const TONES = { active: "good", suspended: "bad", dormant: "neutral" };

export function Badge({ children, tone = "neutral" }) {
  return html`<span class="badge ${tone}">${children}</span>`;
}

export const Status = ({ status }) => html`<${Badge} tone=${TONES[status]}>${status}<//>`;

const TIMES = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

/** A date and time. The API's zero time is in the year 1. */
export function Time({ at, never = "Never" }) {
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

/** Focuses the heading after the next render, which removes the button that has the focus. */
export function focusHeading() {
  setTimeout(() => document.querySelector("h1")?.focus());
}

/** The buttons between the pages of a list. They scroll to the top of the list. */
export function Pager({ label, text, onBack, onForward }) {
  const element = useRef(null);
  const scrollAfter = (go) => () => {
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
      <${Button} icon="back" aria-disabled=${!onBack} onClick=${scrollAfter(onBack)}>Previous<//>
      <${Button} icon="forward" kind="trailing" aria-disabled=${!onForward} onClick=${scrollAfter(onForward)}>Next<//>
    </span>
  </nav>`;
}

const NUMBERS = new Intl.NumberFormat();

export const number = (value) => NUMBERS.format(value);

/** The position in a list, such as “26–50 of 1,000”. */
export function rangeText(offset, shown, total) {
  return shown ? `${number(offset + 1)}–${number(offset + shown)} of ${number(total)}` : "";
}

const toasts = new EventTarget();

/** Shows a message for a few seconds; screen readers announce it. */
export function toast(text, kind = "success") {
  toasts.dispatchEvent(Object.assign(new Event("toast"), { toast: { text, kind } }));
}

const TOAST_MILLISECONDS = 6000;

export function Toasts() {
  const [shown, setShown] = useState([]);
  useEffect(() => {
    const add = ({ toast: added }) => {
      setShown((current) => [...current, added]);
      setTimeout(
        () => setShown((current) => current.filter((one) => one !== added)),
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

/** Generates a random password without characters that look alike. */
export function generatePassword() {
  const alphabet = "abcdefghjkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
  const numbers = crypto.getRandomValues(new Uint32Array(20));
  return Array.from(numbers, (number) => alphabet[number % alphabet.length]).join("");
}
