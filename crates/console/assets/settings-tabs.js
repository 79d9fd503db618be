/** The tabs of the account pages. */
import { html, useLayoutEffect, useRef } from "./preact.js";

const TABS = [
  ["/settings/account", "Profile"],
  ["/settings/appearance", "Appearance"],
  ["/settings/security", "Sign-in"],
  ["/settings/ssh-keys", "SSH key"],
  ["/settings/tokens", "Tokens"],
  ["/settings/notifications", "Notifications"],
];

export function SettingsTabs({ here }) {
  const element = useRef(null);
  useLayoutEffect(() => {
    const current = element.current.querySelector("[aria-current]");
    element.current.scrollLeft =
      current.offsetLeft - (element.current.clientWidth - current.offsetWidth) / 2;
  }, []);
  return html`<nav class="tabs" aria-label="Account" ref=${element}>
    ${TABS.map(([path, label]) => html`<a key=${path} href=${path}
      aria-current=${path === here ? "page" : undefined}>${label}</a>`)}
  </nav>`;
}
