/** The SSH key that git uses in one's name. */
import { get, put, segment } from "../api.js";
import { html, useState } from "../preact.js";
import { useSession } from "../session.js";
import { SettingsTabs } from "../settings-tabs.js";
import { Button, Confirm, CopyBox, Loaded, Page, Section, Time, toast, useLoad } from "../ui.js";

export default function SshKey() {
  const { me } = useSession();
  const path = `/users/${segment(me.id)}/gitsshkey`;
  const key = useLoad((signal) => get(path, { signal }));
  const [isAsking, setIsAsking] = useState(false);
  const renew = async () => {
    key.setData(await put(path));
    setIsAsking(false);
    toast("You have a new SSH key.");
  };
  return html`<${Page} title="SSH key">
    <${SettingsTabs} here="/settings/ssh-keys" />
    <${Section} title="Git SSH key" lead="Add the public key to your account where your repositories are.">
      <${Loaded} from=${key}>${(known) => html`
        <${CopyBox} label="Public key" text=${known.public_key.trim()} />
        <p class="help">Made <${Time} at=${known.updated_at} />.</p>
        <div class="form-actions"><${Button} onClick=${() => setIsAsking(true)}>Make a new key<//></div>
      `}<//>
    <//>
    ${
      isAsking &&
      html`<${Confirm} title="Make a new SSH key?" action="Make a new key" onConfirm=${renew}
        onClose=${() => setIsAsking(false)}>
      <p>The old one is gone then. Where you added it, you will have to add the new one.</p>
    <//>`
    }
  <//>`;
}
