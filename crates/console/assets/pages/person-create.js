/** A new person. */
import { ApiError, get, post } from "../api.js";
import { html } from "../preact.js";
import { navigate } from "../router.js";
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
  makePassword,
  toast,
  useForm,
  useLoad,
} from "../ui.js";

export default function PersonCreate() {
  const { may } = useSession();
  if (!may.userCreate) {
    return html`<${Page} title="New person" lead="Only administrators add people." />`;
  }
  return html`<${Create} />`;
}

function Create() {
  const known = useLoad(async (signal) => {
    const [organizations, methods] = await Promise.all([
      get("/organizations", { signal }),
      get("/users/authmethods", { signal }),
    ]);
    return { organizations, methods };
  });
  return html`<${Page} title="New person"
    lead="They can sign in at once; until they do, their status is dormant.">
    <${Loaded} from=${known}>${(data) => html`<${Form} ...${data} />`}<//>
  <//>`;
}

function Form({ organizations, methods }) {
  // Whoever is to come by OpenID may come from any of these.
  const providers = [methods.oidc.enabled && methods.oidc, ...(methods.further_oidc ?? [])]
    .filter(Boolean)
    .map((provider) => provider.signInText || "OpenID Connect");
  const ways = [
    methods.password.enabled && ["password", "A password"],
    methods.github.enabled && ["github", "GitHub"],
    providers.length > 0 && ["oidc", providers.join(" or ")],
    ["none", "Nothing: only tokens that an owner makes"],
  ].filter(Boolean);
  const first = organizations.find((organization) => organization.is_default) ?? organizations[0];
  const initial = {
    email: "",
    username: "",
    name: "",
    login_type: ways[0][0],
    password: "",
    organization_ids: first ? [first.id] : [],
  };
  const form = useForm(initial, async (values) => {
    const hasPassword = values.login_type === "password";
    const user = await create({ ...values, password: hasPassword ? values.password : "" });
    toast(`${user.username} is here.`);
    navigate(`/users/${user.id}`);
  });
  const organizationError = form.bind("organization_ids").error;
  const toggle = (id, isOn) => {
    const others = form.values.organization_ids.filter((one) => one !== id);
    form.set("organization_ids", isOn ? [...others, id] : others);
  };
  return html`<form class="card" ...${form.props}>
    <${TextField} label="E-mail address" type="email" autocomplete="off" ...${form.bind("email")} />
    <${TextField} label="Username" help="Letters, digits and single hyphens." autocomplete="off"
      autocapitalize="none" spellcheck=${false} ...${form.bind("username")} />
    <${TextField} label="Full name" optional autocomplete="off" ...${form.bind("name")} />
    <${SelectField} label="Signs in with" options=${ways} ...${form.bind("login_type")} />
    ${
      form.values.login_type === "password" &&
      html`
      <${PasswordField} label="Password" autocomplete="new-password" ...${form.bind("password")} />
      <p><${Button} onClick=${() => form.set("password", makePassword())}>Make up a password<//></p>
    `
    }
    <fieldset aria-invalid=${organizationError ? "true" : undefined}
      tabindex=${organizationError ? "-1" : undefined}>
      <legend>Organizations</legend>
      ${organizations.map((organization) => html`<${Checkbox} key=${organization.id}
        label=${organization.display_name || organization.name}
        checked=${form.values.organization_ids.includes(organization.id)}
        onChange=${(isOn) => toggle(organization.id, isOn)} />`,
      )}
      ${organizationError && html`<p class="error">${organizationError}</p>`}
    </fieldset>
    <${Submit} form=${form} extra=${html`<a href="/users">Cancel</a>`}>Create<//>
  </form>`;
}

async function create(person) {
  try {
    return await post("/users", person);
  } catch (error) {
    const isVague = error instanceof ApiError && error.status === 409;
    if (isVague && Object.keys(error.fields).length === 0) {
      // The answer does not say which of the two it is.
      const taken = { email: error.message, username: error.message };
      throw new ApiError(409, error.message, error.detail, taken);
    }
    throw error;
  }
}
