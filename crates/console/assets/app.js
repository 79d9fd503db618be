/** The entry point: loads the session, then shows the page of the current path. */
import { get, onSessionExpired } from "./api.js";
import { Bare, Layout } from "./layout.js";
import { navigate, useLocation } from "./navigation.js";
import { ownPath, signInPath } from "./paths.js";
import { Component, html, render, useEffect, useRef, useState } from "./preact.js";
import { findRoute } from "./router.js";
import { SessionContext, hasUsers, loadSession } from "./session.js";
import { SignInAgain } from "./sign-in-form.js";
import { Button, Loading, Notice, Toasts, asApiError } from "./ui.js";

function App() {
  const location = useLocation();
  const [session, setSession] = useState(undefined);
  const [error, setError] = useState(null);
  const [hasExpired, setHasExpired] = useState(false);
  const route = findRoute(location.path);

  const start = async () => {
    setError(null);
    try {
      setSession(await loadSession());
    } catch (failure) {
      setError(asApiError(failure));
    }
  };
  useEffect(() => {
    start();
    onSessionExpired(() => setHasExpired(true));
  }, []);
  useEffect(() => {
    if (!session) {
      return;
    }
    const check = () => document.hidden || reloadIfUserChanged(session.me);
    document.addEventListener("visibilitychange", check);
    return () => document.removeEventListener("visibilitychange", check);
  }, [session?.me.id]);
  useEffect(() => {
    if (session === undefined) {
      return;
    }
    redirectIfNeeded(session, route).catch((failure) => setError(asApiError(failure)));
  }, [session, location.path]);

  if (error) {
    return html`<${Bare}><${Notice} kind="error" title=${error.message}>
      <${Button} onClick=${start}>Try again<//>
    <//><//>`;
  }
  const isWaiting = session === undefined || (session === null && !route.isPublic);
  if (isWaiting) {
    return html`<${Loading} what="Loading Usher…" />`;
  }
  const frame = session && !route.isBare ? Layout : Bare;
  // On failure the current session stays.
  const reload = () =>
    loadSession().then(
      (loaded) => loaded && setSession(loaded),
      () => {},
    );
  const value = session && { ...session, reload };
  return html`<${SessionContext.Provider} value=${value}>
    <${frame} path=${location.path}>
      <${CurrentPage} route=${route} location=${location} />
    <//>
    ${hasExpired && session && html`<${SignInAgain} me=${session.me} onDone=${() => setHasExpired(false)} />`}
    <${Toasts} />
  <//>`;
}

/** Redirects to the setup or sign-in page, or away from them once signed in. */
async function redirectIfNeeded(session, route) {
  if (session) {
    const query = new URLSearchParams(location.search);
    // The sign-in page shows a message to signed-in users too.
    const isDone =
      route.pattern === "/setup" || (route.pattern === "/login" && !query.has("message"));
    if (isDone) {
      go(ownPath(query.get("redirect")));
    }
    return;
  }
  if (route.isPublic && route.pattern !== "/login" && route.pattern !== "/setup") {
    return;
  }
  const isNew = !(await hasUsers());
  if (isNew && route.pattern !== "/setup") {
    navigate("/setup", { replace: true });
  } else if (!isNew && route.pattern !== "/login") {
    navigate(signInPath(), { replace: true });
  }
}

/** Reloads if another user has signed in in another tab, so this one cannot save as them. */
async function reloadIfUserChanged(me) {
  const now = await get("/users/me", { quiet: true }).catch(() => null);
  if (now && now.id !== me.id) {
    window.location.assign("/");
  }
}

function go(path) {
  if (path.startsWith("/api/")) {
    location.replace(path);
  } else {
    navigate(path, { replace: true });
  }
}

/** Loads the page and shows it. The previous page stays visible until then. */
function CurrentPage({ route, location }) {
  const [shown, setShown] = useState(null);
  const [failure, setFailure] = useState(null);
  const isFirst = useRef(true);
  useEffect(() => {
    let isCurrent = true;
    route.load().then(
      (module) => isCurrent && (setFailure(null), setShown({ page: module.default, route })),
      (error) => isCurrent && setFailure(error),
    );
    return () => {
      isCurrent = false;
    };
  }, [location.path]);
  useEffect(() => {
    if (!shown) {
      return;
    }
    // Without a page load, moving the focus is what announces the new page to screen readers.
    if (!isFirst.current) {
      document.querySelector("h1")?.focus({ preventScroll: true });
      if (!location.isBack) {
        scrollTo(0, 0);
      }
    }
    isFirst.current = false;
  }, [shown]);
  if (failure) {
    return html`<${Notice} kind="error" title="This page could not be loaded.">
      <${Button} onClick=${() => window.location.reload()}>Reload<//>
    <//>`;
  }
  if (!shown) {
    return html`<${Loading} />`;
  }
  const {
    page,
    route: { params, pattern },
  } = shown;
  return html`<${Boundary} key=${pattern + JSON.stringify(params)}>
    <${page} params=${params} query=${location.query} state=${location.state} />
  <//>`;
}

/** Contains an error of one page, so that the navigation keeps working. */
class Boundary extends Component {
  state = { error: null };

  static getDerivedStateFromError(error) {
    return { error };
  }

  componentDidCatch(error) {
    console.error(error);
  }

  render({ children }, { error }) {
    if (!error) {
      return children;
    }
    return html`<${Notice} kind="error" title="This page failed.">
      <${Button} onClick=${() => window.location.reload()}>Reload<//>
    <//>`;
  }
}

const root = document.getElementById("app");
root.replaceChildren();
render(html`<${App} />`, root);
