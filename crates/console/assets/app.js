/** The beginning: who is there, which page they want, and what surrounds it. */
import { get, whenSignedOut } from "./api.js";
import { Bare, Layout } from "./layout.js";
import { ownPath, signInPath } from "./paths.js";
import { Component, html, render, useEffect, useRef, useState } from "./preact.js";
import { find, navigate, useLocation } from "./router.js";
import { SessionContext, hasUsers, loadSession } from "./session.js";
import { SignInAgain } from "./sign-in-form.js";
import { Button, Loading, Notice, Toasts, asApiError } from "./ui.js";

function App() {
  const location = useLocation();
  const [session, setSession] = useState(undefined);
  const [error, setError] = useState(null);
  const [hasEnded, setHasEnded] = useState(false);
  const route = find(location.path);

  const begin = async () => {
    setError(null);
    try {
      setSession(await loadSession());
    } catch (failure) {
      setError(asApiError(failure));
    }
  };
  useEffect(() => {
    begin();
    whenSignedOut(() => setHasEnded(true));
  }, []);
  useEffect(() => {
    if (!session) {
      return;
    }
    const check = () => document.hidden || leaveIfOther(session.me);
    document.addEventListener("visibilitychange", check);
    return () => document.removeEventListener("visibilitychange", check);
  }, [session?.me.id]);
  useEffect(() => {
    if (session === undefined) {
      return;
    }
    admit(session, route).catch((failure) => setError(asApiError(failure)));
  }, [session, location.path]);

  if (error) {
    return html`<${Bare}><${Notice} kind="error" title=${error.message}>
      <${Button} onClick=${begin}>Try again<//>
    <//><//>`;
  }
  const isWaiting = session === undefined || (session === null && !route.open);
  if (isWaiting) {
    return html`<${Loading} what="Loading Usher…" />`;
  }
  const around = session && !route.bare ? Layout : Bare;
  // What was there stays if it cannot be had again.
  const reload = () =>
    loadSession().then(
      (found) => found && setSession(found),
      () => {},
    );
  const known = session && { ...session, reload };
  return html`<${SessionContext.Provider} value=${known}>
    <${around} path=${location.path}>
      <${CurrentPage} route=${route} location=${location} />
    <//>
    ${hasEnded && session && html`<${SignInAgain} me=${session.me} onDone=${() => setHasEnded(false)} />`}
    <${Toasts} />
  <//>`;
}

/** Sends people to where they can go on: to make the first user, to sign in, or past it. */
async function admit(session, route) {
  if (session) {
    const query = new URLSearchParams(location.search);
    // A message is for somebody, whether they are signed in or not.
    const isPast =
      route.pattern === "/setup" || (route.pattern === "/login" && !query.has("message"));
    if (isPast) {
      go(ownPath(query.get("redirect")));
    }
    return;
  }
  if (route.open && route.pattern !== "/login" && route.pattern !== "/setup") {
    return;
  }
  const isNew = !(await hasUsers());
  if (isNew && route.pattern !== "/setup") {
    navigate("/setup", { replace: true });
  } else if (!isNew && route.pattern !== "/login") {
    navigate(signInPath(), { replace: true });
  }
}

/** Somebody else may have signed in in another tab; this one must not show, or save, as them. */
async function leaveIfOther(me) {
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

/** Loads the page and shows it; the one before stays until then. */
function CurrentPage({ route, location }) {
  const [shown, setShown] = useState(null);
  const [failure, setFailure] = useState(null);
  const isFirst = useRef(true);
  useEffect(() => {
    let isWanted = true;
    route.load().then(
      (module) => isWanted && (setFailure(null), setShown({ page: module.default, route })),
      (error) => isWanted && setFailure(error),
    );
    return () => {
      isWanted = false;
    };
  }, [location.path]);
  useEffect(() => {
    if (!shown) {
      return;
    }
    // The browser says where it is when it loads a page; here only the focus can.
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

/** Keeps a fault of one page from taking the others with it. */
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
    return html`<${Notice} kind="error" title="Something went wrong in this page.">
      <${Button} onClick=${() => window.location.reload()}>Reload<//>
    <//>`;
  }
}

const root = document.getElementById("app");
root.replaceChildren();
render(html`<${App} />`, root);
