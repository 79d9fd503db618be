/** Creates the first user, who is an owner, and signs in. */
import { post } from "../api.js";
import { html } from "../preact.js";
import { Page, PasswordField, Submit, TextField, useForm } from "../ui.js";

export default function Setup() {
  const form = useForm(
    { username: "", name: "", email: "", password: "" },
    async (values) => {
      await post("/users/first", values, { quiet: true });
      const { email, password } = values;
      await post("/users/login", { email, password }, { quiet: true });
      location.assign("/");
    },
    {
      required: {
        email: "Enter an e-mail address.",
        username: "Enter a username.",
        password: "Enter a password.",
      },
    },
  );
  return html`<${Page} title="Welcome to Usher"
    lead="Create the owner account. You can add others later.">
    <form ...${form.props}>
      <${TextField} label="E-mail address" type="email" autocomplete="username" autofocus
        ...${form.bind("email")} />
      <${TextField} label="Username" help="Letters, digits and single hyphens." autocomplete="off"
        autocapitalize="none"
        spellcheck=${false} ...${form.bind("username")} />
      <${TextField} label="Full name" optional autocomplete="name" ...${form.bind("name")} />
      <${PasswordField} label="Password" autocomplete="new-password"
        help="At least 12 characters, or several unrelated words." ...${form.bind("password")} />
      <${Submit} form=${form}>Create owner account<//>
    </form>
  <//>`;
}
