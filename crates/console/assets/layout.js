/** The frames around pages: with the navigation, or bare. */
import { post } from "./api.js";
import { Icon, Logo } from "./icons.js";
import { html } from "./preact.js";
import { applyTheme, nameOf, useSession } from "./session.js";
import { Avatar, asApiError, toast } from "./ui.js";

function navigationItems({ may }) {
  return [
    { path: "/tasks", label: "Tasks", icon: "tasks" },
    may.userRead && { path: "/users", label: "People", icon: "people" },
    { path: "/organizations", label: "Organizations", short: "Orgs", icon: "organization" },
    may.auditRead && { path: "/audit", label: "Audit log", icon: "audit" },
    { path: "/settings", label: "Account", icon: "person" },
  ].filter(Boolean);
}

export function Layout({ path, children }) {
  const session = useSession();
  const isCurrent = (item) => path === item.path || path.startsWith(`${item.path}/`);
  return html`
    <a class="skip" href="#main">Skip to content</a>
    <div class="frame">
      <header class="side">
        <a class="brand" href="/"><${Logo} /><span>Usher</span></a>
        <nav class="navigation" aria-label="Pages">
          ${navigationItems(session).map((item) => html`<a key=${item.path} href=${item.path}
            aria-current=${isCurrent(item) ? "page" : undefined}>
            <${Icon} name=${item.icon} />
            ${item.short && html`<span class="short" aria-hidden="true">${item.short}</span>`}
            <span class=${item.short ? "long" : undefined}>${item.label}</span>
          </a>`,
          )}
        </nav>
        <div class="signed-in">
          <${Avatar} user=${session.me} />
          <span class="signed-in-name"><strong>${nameOf(session.me)}</strong><span>${session.me.email}</span></span>
          <button type="button" class="button quiet icon-only" onClick=${signOut} aria-label="Sign out">
            <${Icon} name="out" />
          </button>
        </div>
      </header>
      <main id="main" tabindex="-1">${children}</main>
    </div>
  `;
}

/** The frame without navigation: setup, sign-in, and the session token for the command line. */
export function Bare({ children }) {
  return html`<main id="main" class="bare" tabindex="-1">
    <p class="brand"><${Logo} /><span>Usher</span></p>
    <div class="card bare-card">${children}</div>
  </main>`;
}

async function signOut() {
  try {
    await post("/users/logout", undefined, { quiet: true });
  } catch (error) {
    if (error.status !== 401) {
      toast(asApiError(error).message, "error");
      return;
    }
  }
  // The next user of this browser has their own preference.
  applyTheme("auto");
  location.assign("/login");
}
