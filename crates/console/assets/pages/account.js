/** The user's own profile. */
import { put, segment } from "../api.js";
import { html } from "../preact.js";
import { useSession } from "../session.js";
import { SettingsTabs } from "../settings-tabs.js";
import {
  Page,
  Section,
  Status,
  Submit,
  TextField,
  Time,
  roleNames,
  toast,
  useForm,
} from "../ui.js";

export default function Account() {
  const { me, may, reload } = useSession();
  const form = useForm(
    { username: me.username, name: me.name ?? "" },
    async (values) => {
      await put(`/users/${segment(me.id)}/profile`, values);
      await reload();
      toast("Profile saved.");
    },
    { required: { username: "Enter a username." } },
  );
  return html`<${Page} title="Account">
    <${SettingsTabs} here="/settings/account" />
    <${Section} title="Profile">
      <form ...${form.props}>
        <${TextField} label="Full name" optional autocomplete="name" ...${form.bind("name")} />
        <${TextField} label="Username" autocomplete="off" spellcheck=${false} readonly=${!may.userUpdate}
          help=${may.userUpdate ? undefined : "Only administrators can change usernames."} ...${form.bind("username")} />
        <${Submit} form=${form}>Save profile<//>
      </form>
    <//>
    <${Section} title="Details">
      <dl class="facts">
        <div><dt>E-mail address</dt><dd>${me.email}</dd></div>
        <div><dt>Status</dt><dd><${Status} status=${me.status} /></dd></div>
        <div>
          <dt>Roles</dt><dd>${roleNames(me.roles)}</dd></div>
        <div><dt>Created</dt><dd><${Time} at=${me.created_at} /></dd></div>
      </dl>
    <//>
  <//>`;
}
