/** One's own password, and another way to sign in instead of it. */
import { get, post, put } from "../api.js";
import { withQuery } from "../paths.js";
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
    await put("/users/me/password", values);
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
  const options = [
    methods.github.enabled && ["github", "GitHub"],
    methods.oidc.enabled && ["oidc", methods.oidc.signInText || "OpenID Connect"],
  ].filter(Boolean);
  const form = useForm({ to_type: options[0]?.[0] ?? "", password: "" }, async (values) => {
    const { state_string: state } = await post("/users/me/convert-login", values, { quiet: true });
    const provider = values.to_type === "github" ? "oauth2/github" : "oidc";
    const redirect = "/settings/security";
    location.assign(
      withQuery(`/api/v2/users/${provider}/callback`, { oidc_merge_state: state, redirect }),
    );
  });
  if (options.length === 0) {
    return null;
  }
  return html`<${Section} title="Sign in another way"
    lead="Your account stays as it is, but your password stops working. You confirm at the provider,
      whose account must have your e-mail address.">
    <form ...${form.props}>
      <${SelectField} label="Sign in with" options=${options} ...${form.bind("to_type")} />
      <${PasswordField} label="Your password" autocomplete="current-password" ...${form.bind("password")} />
      <${Submit} form=${form}>Go on at the provider<//>
    </form>
  <//>`;
}
