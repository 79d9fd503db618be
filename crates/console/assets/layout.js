/** What surrounds pages: the navigation for those who are signed in, a plain frame else. */
import { post } from "./api.js";
import { Icon, Logo } from "./icons.js";
import { html } from "./preact.js";
import { applyTheme, nameOf, useSession } from "./session.js";
import { Avatar, asApiError, toast } from "./ui.js";

function places({ may }) {
  return [
    { path: "/tasks", words: "Tasks", icon: "tasks" },
    may.userRead && { path: "/users", words: "People", icon: "people" },
    { path: "/organizations", words: "Organizations", short: "Orgs", icon: "organization" },
    may.auditRead && { path: "/audit", words: "Audit log", icon: "audit" },
    { path: "/settings", words: "Account", icon: "person" },
  ].filter(Boolean);
}

export function Layout({ path, children }) {
  const session = useSession();
  const isHere = (place) => path === place.path || path.startsWith(`${place.path}/`);
  return html`
    <a class="skip" href="#main">Skip to the content</a>
    <div class="frame">
      <header class="side">
        <a class="brand" href="/"><${Logo} /><span>Usher</span></a>
        <nav class="places" aria-label="Pages">
          ${places(session).map((place) => html`<a key=${place.path} href=${place.path}
            aria-current=${isHere(place) ? "page" : undefined}>
            <${Icon} name=${place.icon} />
            ${place.short && html`<span class="short" aria-hidden="true">${place.short}</span>`}
            <span class=${place.short ? "long" : undefined}>${place.words}</span>
          </a>`,
          )}
        </nav>
        <div class="who">
          <${Avatar} user=${session.me} />
          <span class="who-name"><strong>${nameOf(session.me)}</strong><span>${session.me.email}</span></span>
          <button type="button" class="button quiet icon-only" onClick=${signOut} aria-label="Sign out">
            <${Icon} name="out" />
          </button>
        </div>
      </header>
      <main id="main" tabindex="-1">${children}</main>
    </div>
  `;
}

/** A page of its own: signing in, the first user, what the command line asks for. */
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
  // The next person at this browser has a taste of their own.
  applyTheme("auto");
  location.assign("/login");
}
