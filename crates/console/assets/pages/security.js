/** The user's own password, and changing to another sign-in method. */
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
  loginTypeName,
  toast,
  useForm,
  useLoad,
} from "../ui.js";

export default function Security() {
  const signIn = useLoad(async (signal) => {
    const [own, methods] = await Promise.all([
      get("/users/me/login-type", { signal }),
      get("/users/authmethods", { signal }),
    ]);
    return { type: own.login_type, methods };
  });
  return html`<${Page} title="Sign-in">
    <${SettingsTabs} here="/settings/security" />
    <${Loaded} from=${signIn}>${({ type, methods }) => html`
      ${type === "password" ? html`<${Password} />` : html`<${Notice}
        title="Sign-in method: ${loginTypeName(type)}" />`}
      ${type === "password" && html`<${Convert} methods=${methods} />`}
    `}<//>
  <//>`;
}

function Password() {
  const { me } = useSession();
  const form = useForm(
    { old_password: "", password: "" },
    async (values) => {
      await put(`/users/${segment(me.id)}/password`, values);
      // The change revokes every session, including this one.
      await post("/users/login", { email: me.email, password: values.password }, { quiet: true });
      form.setValues({ old_password: "", password: "" });
      toast("Password changed.");
    },
    {
      required: {
        old_password: "Enter your current password.",
        password: "Enter a new password.",
      },
    },
  );
  return html`<${Section} title="Password"
    lead="A new password signs you out everywhere else and revokes your tokens.">
    <form ...${form.props}>
      <input type="text" class="hidden" name="username" autocomplete="username" value=${me.email} readonly
        tabindex="-1" aria-hidden="true" />
      <${PasswordField} label="Current password" autocomplete="current-password"
        ...${form.bind("old_password")} />
      <${PasswordField} label="New password" autocomplete="new-password" ...${form.bind("password")} />
      <${Submit} form=${form}>Change password<//>
    </form>
  <//>`;
}

function Convert({ methods }) {
  const { me } = useSession();
  const targets = conversionTargets(methods);
  const initial = { target: targets[0]?.key ?? "", password: "" };
  const form = useForm(
    initial,
    async ({ target, password }) => {
      const { type, label, path } = targets.find(({ key }) => key === target);
      const { state_string: state } = await convert(me, { to_type: type, password });
      // The change revokes this session.
      const redirect = withQuery("/login", {
        message: `You now sign in with ${label}. Sign in to continue.`,
        redirect: "/settings/security",
      });
      location.assign(withQuery(path, { oidc_merge_state: state, redirect }));
    },
    {
      required: { password: "Enter your password." },
      aliases: { to_type: "target" },
    },
  );
  if (targets.length === 0) {
    return null;
  }
  return html`<${Section} title="Change sign-in method"
    lead="Your password stops working. Your account at the provider must have your e-mail address.">
    <form ...${form.props}>
      <${SelectField} label="Sign-in method" options=${targets.map(({ key, label }) => [key, label])}
        ...${form.bind("target")} />
      <${PasswordField} label="Password" autocomplete="current-password" ...${form.bind("password")} />
      <${Submit} form=${form}>Continue to provider<//>
    </form>
  <//>`;
}

/** Starts the conversion and returns the state to send to the provider. */
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

/** The sign-in methods that the account can change to. */
function conversionTargets({ github, oidc, further_oidc: further = [] }) {
  const callback = (name) => `/api/v2/users/${name}/callback`;
  const provider = (one) => ({ type: "oidc", label: one.signInText || "OpenID Connect" });
  return [
    github.enabled && { key: "github", type: "github", label: "GitHub", path: callback("oauth2/github") },
    oidc.enabled && { key: "oidc", ...provider(oidc), path: callback("oidc") },
    ...further.map((one) => ({ key: one.path, ...provider(one), path: ownPath(one.path) })),
  ].filter(Boolean);
}
