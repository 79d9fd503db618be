/** Sets a new password with the passcode from the e-mail. */
import { post } from "../api.js";
import { navigate } from "../navigation.js";
import { withQuery } from "../paths.js";
import { html } from "../preact.js";
import { Page, PasswordField, Submit, TextField, useForm } from "../ui.js";

export default function ChangePassword({ query }) {
  const initial = { email: query.get("email") ?? "", one_time_passcode: "", password: "" };
  const form = useForm(
    initial,
    async (values) => {
      const one_time_passcode = values.one_time_passcode.trim();
      await post("/users/otp/change-password", { ...values, one_time_passcode }, { quiet: true });
      navigate(
        withQuery("/login", { message: "Password changed. Sign in with your new password." }),
      );
    },
    {
      required: {
        email: "Enter your e-mail address.",
        one_time_passcode: "Enter the passcode.",
        password: "Enter a new password.",
      },
    },
  );
  return html`<${Page} title="Set a new password">
    <form ...${form.props}>
      <${TextField} label="E-mail address" type="email" autocomplete="username" ...${form.bind("email")} />
      <${TextField} label="Passcode" help="From the e-mail." autocomplete="one-time-code" spellcheck=${false}
        ...${form.bind("one_time_passcode")} />
      <${PasswordField} label="New password" autocomplete="new-password" ...${form.bind("password")} />
      <${Submit} form=${form} extra=${html`<a
        href="/reset-password">Send another passcode</a>`}>Change password<//>
    </form>
  <//>`;
}
