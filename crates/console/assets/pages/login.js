/** The sign-in page, with the methods that the server offers. */
import { get } from "../api.js";
import { ownPath, withQuery } from "../paths.js";
import { html } from "../preact.js";
import { nameOf, useSession } from "../session.js";
import { SignInForm } from "../sign-in-form.js";
import { Loaded, Notice, Page, useLoad } from "../ui.js";

/** Messages come from links, which anyone can write. */
const MAX_MESSAGE = 300;

export default function Login({ query }) {
  const methods = useLoad((signal) => get("/users/authmethods", { signal }));
  const redirect = ownPath(query.get("redirect"));
  const message = query.get("message")?.slice(0, MAX_MESSAGE);
  const session = useSession();
  return html`<${Page} title="Sign in">
    ${message && html`<${Notice} title=${message} />`}
    ${session && html`<p>You are signed in as ${nameOf(session.me)}. <a href=${redirect}>Continue</a></p>`}
    <${Loaded} from=${methods}>${(loaded) => html`<${Methods} methods=${loaded} redirect=${redirect} />`}<//>
  <//>`;
}

function Methods({ methods, redirect }) {
  const { password, github, oidc, further_oidc: further = [], terms_of_service_url: terms } =
    methods;
  const callback = (path) => withQuery(`/api/v2/users/${path}/callback`, { redirect });
  const hasProviders = github.enabled || oidc.enabled || further.length > 0;
  return html`
    ${oidc.enabled && html`<a class="button wide"
      href=${callback("oidc")}>${oidc.signInText || "OpenID Connect"}</a>`}
    ${further.map((one) => html`<a key=${one.path} class="button wide"
      href=${withQuery(ownPath(one.path), { redirect })}>${one.signInText || "OpenID Connect"}</a>`)}
    ${github.enabled && html`<a class="button wide" href=${callback("oauth2/github")}>GitHub</a>`}
    ${hasProviders && password.enabled && html`<p class="or"><span>or</span></p>`}
    ${
      password.enabled &&
      html`
      <${SignInForm} onSignedIn=${() => location.assign(redirect)}
        extra=${html`<a href="/reset-password">Forgot your password?</a>`} />
    `
    }
    ${!hasProviders && !password.enabled && html`<${Notice} kind="warning"
      title="All sign-in methods are disabled. Ask an administrator to enable one." />`}
    ${isWebUrl(terms) && html`<p class="help">By signing in you agree to the <a href=${terms}
      rel="noreferrer">terms of service</a>.</p>`}
  `;
}

function isWebUrl(text) {
  return /^https?:\/\//.test(text ?? "");
}
