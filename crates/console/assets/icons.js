/** Line icons on a 24 by 24 grid. They are decorative: controls have a text or a label too. */
import { html } from "./preact.js";

const LINES = {
  alert: "M12 3.5 2.5 20h19L12 3.5Zm0 6v4.5m0 3v.01",
  audit: "M6 3h9l4 4v14H6zM9 11h7M9 15h7M9 7h3",
  back: "m14 6-6 6 6 6",
  check: "m5 12.5 4.5 4.5L19 7.5",
  close: "m6 6 12 12M18 6 6 18",
  copy: "M9 9h11v11H9zM15 9V4H4v11h5",
  forward: "m10 6 6 6-6 6",
  key: "M8 19a4 4 0 1 1 3.6-5.7L20 5m-3 3 2.5 2.5M14.5 10.5 16 12",
  organization:
    "M4 21V6l8-3v18M12 9h8v12M3 21h18M7.5 9.5v.01M7.5 13v.01M7.5 16.5v.01M16 13v.01M16 16.5v.01",
  out: "M14 4H5v16h9M10 12h10m-3.5-3.5L20 12l-3.5 3.5",
  people:
    "M9 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7Zm-6.5 9c.4-3.6 3-6 6.5-6s6.1 2.4 6.5 6M16 4.5a3.5 3.5 0 0 1 0 6.3M18 14.5c2 .8 3.2 2.8 3.5 5.5",
  person: "M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8Zm-7.5 8.5c.5-4 3.5-6.5 7.5-6.5s7 2.5 7.5 6.5",
  plus: "M12 5v14M5 12h14",
  search: "M11 18a7 7 0 1 0 0-14 7 7 0 0 0 0 14Zm5-2 4.5 4.5",
  tasks: "m3.5 6.5 1.7 1.7L8.5 5M3.5 17l1.7 1.7 3.3-3.2M12 7h9M12 17.5h9M12 12.3h9",
};

export function Icon({ name }) {
  return html`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
    <path d=${LINES[name]} />
  </svg>`;
}

export function Logo() {
  return html`<svg class="logo" viewBox="0 0 32 32" aria-hidden="true" focusable="false">
    <rect width="32" height="32" rx="8" />
    <path d="M9.5 8v9a6.5 6.5 0 0 0 13 0V8" />
    <circle cx="22.5" cy="24" r="1.8" />
  </svg>`;
}
