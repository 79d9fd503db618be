//! Prints the user that the token in `USHER_TOKEN` belongs to and what they may do.

use std::env;

use anyhow::{Context as _, bail};
use usher_domain::{
    Action, Actor, ApiToken, Object, Resource, UserStatus,
    time::{Clock as _, SystemClock},
};
use usher_examples::Database;
use usher_store::SessionStore;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let text = env::var("USHER_TOKEN").context("USHER_TOKEN must be set to a token")?;
    let database = Database::open().await?;
    let found = find_actor(&database.store, &text).await;
    database.close().await?;
    describe(&found?);
    Ok(())
}

/// Verifies a token as the API does, and returns its user with their permissions.
async fn find_actor(sessions: &dyn SessionStore, text: &str) -> anyhow::Result<Actor> {
    let now = SystemClock.now();
    let token = ApiToken::parse(text)?;
    let Some(credential) = sessions.find_credential(&token.id).await? else {
        bail!("the token does not exist");
    };
    let mut verified = credential.verify(&token, now)?;

    // Record the use, or the key would expire as if it were idle.
    if let Some(touch) = verified.key.touch(now, true) {
        sessions
            .touch_key(&verified.key.id, touch, None, now)
            .await?;
    }
    // A dormant user that uses a token becomes active.
    if verified.user.status == UserStatus::Dormant
        && let Some(active) = sessions.activate_user(verified.user.id, now).await?
    {
        verified.user = active;
    }
    Ok(verified.into_actor()?)
}

#[expect(clippy::print_stdout, reason = "prints its result")]
fn describe(actor: &Actor) {
    println!("{} <{}>", actor.user.username, actor.user.email);
    let questions = [
        (
            "read their personal data",
            Action::ReadPersonal,
            Object::user(actor.id()),
        ),
        ("read all users", Action::Read, Object::any(Resource::User)),
        ("create users", Action::Create, Object::any(Resource::User)),
        (
            "create organizations",
            Action::Create,
            Object::any(Resource::Organization),
        ),
    ];
    for (what, action, object) in questions {
        let may = if actor.may(action, object) {
            "may"
        } else {
            "may not"
        };
        println!("{may} {what}");
    }
}
