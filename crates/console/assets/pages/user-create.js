/** Creates a user. */
import { ApiError, get, post } from "../api.js";
import { navigate } from "../navigation.js";
import { html } from "../preact.js";
import { useSession } from "../session.js";
import {
  Button,
  Checkbox,
  Loaded,
  Page,
  PasswordField,
  SelectField,
  Submit,
  TextField,
  generatePassword,
  toast,
  useForm,
  useLoad,
} from "../ui.js";

export default function UserCreate() {
  const { may } = useSession();
  if (!may.userCreate) {
    return html`<${Page} title="New user" lead="Only administrators can create users." />`;
  }
  return html`<${Create} />`;
}

function Create() {
  const options = useLoad(async (signal) => {
    const [organizations, methods] = await Promise.all([
      get("/organizations", { signal }),
      get("/users/authmethods", { signal }),
    ]);
    return { organizations, methods };
  });
  return html`<${Page} title="New user"
    lead="They can sign in right away; until then they show as dormant.">
    <${Loaded} from=${options}>${(data) => html`<${Form} ...${data} />`}<//>
  <//>`;
}

function Form({ organizations, methods }) {
  // One login type covers all OpenID Connect providers.
  const providers = [methods.oidc.enabled && methods.oidc, ...(methods.further_oidc ?? [])]
    .filter(Boolean)
    .map((provider) => provider.signInText || "OpenID Connect");
  const loginTypes = [
    methods.password.enabled && ["password", "Password"],
    methods.github.enabled && ["github", "GitHub"],
    providers.length > 0 && ["oidc", providers.join(" or ")],
    ["none", "No sign-in (API tokens only)"],
  ].filter(Boolean);
  const first = organizations.find((organization) => organization.is_default) ?? organizations[0];
  const initial = {
    email: "",
    username: "",
    name: "",
    login_type: loginTypes[0][0],
    password: "",
    organization_ids: first ? [first.id] : [],
  };
  const form = useForm(
    initial,
    async (values) => {
      const hasPassword = values.login_type === "password";
      const user = await create({ ...values, password: hasPassword ? values.password : "" });
      toast(`${user.username} was created.`);
      navigate(`/users/${user.id}`);
    },
    {
      required: {
        email: "Enter an e-mail address.",
        username: "Enter a username.",
        password: "Enter a password.",
      },
    },
  );
  const organizationError = form.bind("organization_ids").error;
  return html`<form class="card" ...${form.props}>
    <${TextField} label="E-mail address" type="email" autocomplete="off" ...${form.bind("email")} />
    <${TextField} label="Username" help="Letters, digits and single hyphens." autocomplete="off"
      autocapitalize="none" spellcheck=${false} ...${form.bind("username")} />
    <${TextField} label="Full name" optional autocomplete="off" ...${form.bind("name")} />
    <${SelectField} label="Sign-in method" options=${loginTypes} ...${form.bind("login_type")} />
    ${
      form.values.login_type === "password" &&
      html`
      <${PasswordField} label="Password" autocomplete="new-password" ...${form.bind("password")} />
      <p><${Button} onClick=${() => form.set("password", generatePassword())}>Generate password<//></p>
    `
    }
    <fieldset aria-invalid=${organizationError ? "true" : undefined}
      tabindex=${organizationError ? "-1" : undefined}>
      <legend>Organizations</legend>
      ${organizations.map((organization) => html`<${Checkbox} key=${organization.id}
        label=${organization.display_name || organization.name}
        checked=${form.values.organization_ids.includes(organization.id)}
        onChange=${(isOn) => form.toggle("organization_ids", organization.id, isOn)} />`,
      )}
      ${organizationError && html`<p class="error">${organizationError}</p>`}
    </fieldset>
    <${Submit} form=${form} extra=${html`<a href="/users">Cancel</a>`}>Create user<//>
  </form>`;
}

async function create(user) {
  try {
    return await post("/users", user);
  } catch (error) {
    const isConflict = error instanceof ApiError && error.status === 409;
    if (isConflict && Object.keys(error.fields).length === 0) {
      // The response does not say which of the two is taken.
      const fields = { email: error.message, username: error.message };
      throw new ApiError(409, error.message, error.detail, fields);
    }
    throw error;
  }
}
