/** One's own password, and another way to sign in instead of it. */
import { ApiError, get, post, put, segment } from "../api.js";
import { ownPath, withQuery } from "../paths.js";
import { html } from "../preact.js";
import { useSession } from "../session.js";
import { SettingsTabs } from "../settings-tabs.js";
import {
  Loaded,
  Notice,
  Page,
  PasswordField,
  Section,
  SelectField,
  Submit,
  toast,
  useForm,
  useLoad,
} from "../ui.js";

const WAYS = {
  password: "a password",
  github: "GitHub",
  oidc: "OpenID Connect",
  none: "nothing: only tokens work",
  token: "tokens",
};

export default function Security() {
  const ways = useLoad(async (signal) => {
    const [own, methods] = await Promise.all([
      get("/users/me/login-type", { signal }),
      get("/users/authmethods", { signal }),
    ]);
    return { type: own.login_type, methods };
  });
  return html`<${Page} title="Sign-in">
    <${SettingsTabs} here="/settings/security" />
    <${Loaded} from=${ways}>${({ type, methods }) => html`
      ${type === "password" ? html`<${Password} />` : html`<${Notice}
        title="You sign in with ${WAYS[type] ?? type}." />`}
      ${type === "password" && html`<${Convert} methods=${methods} />`}
    `}<//>
  <//>`;
}

function Password() {
  const { me } = useSession();
  const form = useForm({ old_password: "", password: "" }, async (values) => {
    await put(`/users/${segment(me.id)}/password`, values);
    // The change has ended every session, this one too.
    await post("/users/login", { email: me.email, password: values.password }, { quiet: true });
    form.setValues({ old_password: "", password: "" });
    toast("Your password is changed.");
  });
  return html`<${Section} title="Password"
    lead="A new password ends all your other sessions and all your tokens.">
    <form ...${form.props}>
      <input type="text" class="hidden" name="username" autocomplete="username" value=${me.email} readonly
        tabindex="-1" aria-hidden="true" />
      <${PasswordField} label="Current password" autocomplete="current-password"
        ...${form.bind("old_password")} />
      <${PasswordField} label="New password" autocomplete="new-password" ...${form.bind("password")} />
      <${Submit} form=${form}>Change the password<//>
    </form>
  <//>`;
}

function Convert({ methods }) {
  const { me } = useSession();
  const ways = waysOf(methods);
  const initial = { way: ways[0]?.key ?? "", password: "" };
  const form = useForm(
    initial,
    async ({ way, password }) => {
      const { type, words, path } = ways.find(({ key }) => key === way);
      const { state_string: state } = await convert(me, { to_type: type, password });
      // The change ends this session.
      const redirect = withQuery("/login", {
        message: `From now on you sign in with ${words}. Please sign in once more.`,
        redirect: "/settings/security",
      });
      location.assign(withQuery(path, { oidc_merge_state: state, redirect }));
    },
    { aliases: { to_type: "way" } },
  );
  if (ways.length === 0) {
    return null;
  }
  return html`<${Section} title="Sign in another way"
    lead="Your account stays as it is, but your password stops working. You confirm at the provider,
      whose account must have your e-mail address.">
    <form ...${form.props}>
      <${SelectField} label="Sign in with" options=${ways.map(({ key, words }) => [key, words])}
        ...${form.bind("way")} />
      <${PasswordField} label="Your password" autocomplete="current-password" ...${form.bind("password")} />
      <${Submit} form=${form}>Go on at the provider<//>
    </form>
  <//>`;
}

/** Asks for the state with which the provider is asked. */
async function convert(me, values) {
  try {
    return await post(`/users/${segment(me.id)}/convert-login`, values, { quiet: true });
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) {
      throw new ApiError(401, error.message, "", { password: error.message });
    }
    throw error;
  }
}

/** The ways that one may change to: what they are called, and where each begins. */
function waysOf({ github, oidc, further_oidc: further = [] }) {
  const start = (name) => `/api/v2/users/${name}/callback`;
  const named = (one) => ({ type: "oidc", words: one.signInText || "OpenID Connect" });
  return [
    github.enabled && { key: "github", type: "github", words: "GitHub", path: start("oauth2/github") },
    oidc.enabled && { key: "oidc", ...named(oidc), path: start("oidc") },
    ...further.map((one) => ({ key: one.path, ...named(one), path: ownPath(one.path) })),
  ].filter(Boolean);
}
