/** Which page a path has. Pages are loaded when they are first wanted. */
import { useEffect, useState } from "./preact.js";

// `open` pages need nobody signed in; `bare` ones stand without the navigation.
// prettier-ignore
const ROUTES = [
  ["/", () => import("./pages/home.js")],
  ["/audit", () => import("./pages/audit.js")],
  ["/cli-auth", () => import("./pages/cli-auth.js"), { bare: true }],
  ["/deployment/users", () => import("./pages/people.js")],
  ["/login", () => import("./pages/login.js"), { open: true, bare: true }],
  ["/login/device", () => import("./pages/device.js"), { open: true, bare: true }],
  ["/organizations", () => import("./pages/organizations.js")],
  ["/organizations/:name", () => import("./pages/organization.js")],
  ["/reset-password", () => import("./pages/reset-password.js"), { open: true, bare: true }],
  ["/reset-password/change", () => import("./pages/change-password.js"), { open: true, bare: true }],
  ["/settings", () => import("./pages/account.js")],
  ["/settings/account", () => import("./pages/account.js")],
  ["/settings/appearance", () => import("./pages/appearance.js")],
  ["/settings/notifications", () => import("./pages/notifications.js")],
  ["/settings/security", () => import("./pages/security.js")],
  ["/settings/ssh-keys", () => import("./pages/ssh-key.js")],
  ["/settings/tokens", () => import("./pages/tokens.js")],
  ["/setup", () => import("./pages/setup.js"), { open: true, bare: true }],
  ["/tasks", () => import("./pages/tasks.js")],
  ["/users", () => import("./pages/people.js")],
  ["/users/create", () => import("./pages/person-create.js")],
  ["/users/:id", () => import("./pages/person.js")],
];

const NOWHERE = { load: () => import("./pages/not-found.js"), params: {}, open: true };

/** The page of a path: how to load it, what its path says, and how it stands. */
export function find(path) {
  const segments = path.split("/").filter(Boolean);
  for (const [pattern, load, { open = false, bare = false } = {}] of ROUTES) {
    const params = match(pattern.split("/").filter(Boolean), segments);
    if (params) {
      return { pattern, load, params, open, bare };
    }
  }
  return NOWHERE;
}

function match(pattern, segments) {
  if (pattern.length !== segments.length) {
    return null;
  }
  const params = {};
  for (const [index, part] of pattern.entries()) {
    if (part.startsWith(":")) {
      try {
        params[part.slice(1)] = decodeURIComponent(segments[index]);
      } catch {
        return null;
      }
    } else if (part !== segments[index]) {
      return null;
    }
  }
  return params;
}

const changed = new EventTarget();

/** Goes to another page of ours. `state` is kept with the entry of the history. */
export function navigate(path, { replace = false, state = null } = {}) {
  history[replace ? "replaceState" : "pushState"](state, "", path);
  changed.dispatchEvent(new Event("change"));
}

/** Whether we are where we are by the history, to whose places the browser scrolls itself. */
let isBack = false;

/** Where we are; the component that asks is drawn anew when that changes. */
export function useLocation() {
  const [location, setLocation] = useState(here);
  useEffect(() => {
    const update = (event) => {
      isBack = event.type === "popstate";
      setLocation(here());
    };
    changed.addEventListener("change", update);
    addEventListener("popstate", update);
    document.addEventListener("click", follow);
    return () => {
      changed.removeEventListener("change", update);
      removeEventListener("popstate", update);
      document.removeEventListener("click", follow);
    };
  }, []);
  return location;
}

function here() {
  const { pathname, search } = location;
  return { path: pathname, query: new URLSearchParams(search), state: history.state, isBack };
}

/** Follows links to our pages without loading everything again. */
function follow(event) {
  const link = event.target.closest?.("a[href]");
  const isPlain =
    event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
  if (!link || !isPlain || event.defaultPrevented || link.target || link.hasAttribute("download")) {
    return;
  }
  const url = new URL(link.href);
  const isPage = url.origin === location.origin && !url.pathname.startsWith("/api/");
  if (!isPage || (url.hash && url.pathname === location.pathname)) {
    return;
  }
  event.preventDefault();
  navigate(url.pathname + url.search + url.hash);
}
