/** `/`: people for those who manage them, tasks for everybody else. */
import { useEffect } from "../preact.js";
import { navigate } from "../router.js";
import { useSession } from "../session.js";

export default function Home() {
  const { may } = useSession();
  useEffect(() => navigate(may.userCreate ? "/users" : "/tasks", { replace: true }), []);
  return null;
}
