/** Navigation between pages without loading the document again. */
import { useEffect, useState } from "./preact.js";

const changed = new EventTarget();

/** Goes to another page. `state` is stored in the history entry. */
export function navigate(path, { replace = false, state = null } = {}) {
  history[replace ? "replaceState" : "pushState"](state, "", path);
  changed.dispatchEvent(new Event("change"));
}

/** Whether the last navigation went through the history, where the browser restores the scroll position. */
let isBack = false;

/** Returns the current location and renders the component again when it changes. */
export function useLocation() {
  const [location, setLocation] = useState(current);
  useEffect(() => {
    const update = (event) => {
      isBack = event.type === "popstate";
      setLocation(current());
    };
    changed.addEventListener("change", update);
    addEventListener("popstate", update);
    document.addEventListener("click", followLink);
    return () => {
      changed.removeEventListener("change", update);
      removeEventListener("popstate", update);
      document.removeEventListener("click", followLink);
    };
  }, []);
  return location;
}

function current() {
  const { pathname, search } = location;
  return { path: pathname, query: new URLSearchParams(search), state: history.state, isBack };
}

/** Handles clicks on links to pages. */
function followLink(event) {
  const link = event.target.closest?.("a[href]");
  const isPlainClick =
    event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
  if (!link || !isPlainClick || event.defaultPrevented || link.target || link.hasAttribute("download")) {
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
