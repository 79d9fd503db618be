/** Signing in with a password, on the page of its own and where a session has ended. */
import { get, post } from "./api.js";
import { html } from "./preact.js";
import { Button, Dialog, PasswordField, Submit, TextField, toast, useForm } from "./ui.js";

/** @param {{ email?: string, onSignedIn: () => void }} props */
export function SignInForm({ email = "", onSignedIn, extra }) {
  const form = useForm({ email, password: "" }, async (values) => {
    await post("/users/login", values, { quiet: true });
    await onSignedIn();
  });
  return html`<form ...${form.props}>
    <${TextField} label="E-mail address" type="email" autocomplete="username" required autofocus=${!email}
      ...${form.bind("email")} />
    <${PasswordField} label="Password" autocomplete="current-password" required autofocus=${Boolean(email)}
      ...${form.bind("password")} />
    <${Submit} form=${form} extra=${extra}>Sign in<//>
  </form>`;
}

/** Stands over a page whose session has ended, so that nothing in it is lost. */
export function SignInAgain({ me, onDone }) {
  const goOn = async () => {
    const now = await get("/users/me", { quiet: true });
    if (now.id !== me.id) {
      // Somebody else must not save what this person wrote.
      location.assign("/");
      return;
    }
    toast("You are signed in again.");
    onDone();
  };
  return html`<${Dialog} title="Please sign in again" onClose=${onDone}>
    <p>Your session has ended. What you wrote is still here: sign in, and save it once more.</p>
    <${SignInForm} email=${me.email} extra=${html`<${Button} onClick=${onDone}>Not now<//>`}
      onSignedIn=${goOn} />
    <p class="help"><a href="/login" target="_blank">Sign in another way, in a new tab</a></p>
  <//>`;
}
