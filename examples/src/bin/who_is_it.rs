//! Tells who the token in `USHER_TOKEN` belongs to and what they may do, without HTTP.

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
    let text = env::var("USHER_TOKEN").context("USHER_TOKEN must hold a token")?;
    let database = Database::open().await?;
    let found = find_actor(&database.store, &text).await;
    database.close().await?;
    describe(&found?);
    Ok(())
}

/// Who may act with the token: all that the API asks before it believes one.
async fn find_actor(sessions: &dyn SessionStore, text: &str) -> anyhow::Result<Actor> {
    let now = SystemClock.now();
    let token = ApiToken::parse(text)?;
    let Some(credential) = sessions.find_credential(&token.id).await? else {
        bail!("there is no such token");
    };
    let mut verified = credential.verify(&token, now)?;

    // The holder has used the key. Without this it would look idle, and end too early.
    if let Some(touch) = verified.key.touch(now, true) {
        sessions
            .touch_key(&verified.key.id, touch, None, now)
            .await?;
    }
    // Somebody who was away is back.
    if verified.user.status == UserStatus::Dormant
        && let Some(awake) = sessions.activate_user(verified.user.id, now).await?
    {
        verified.user = awake;
    }
    Ok(verified.into_actor()?)
}

#[expect(clippy::print_stdout, reason = "what it is for")]
fn describe(actor: &Actor) {
    println!("{} <{}>", actor.user.username, actor.user.email);
    let questions = [
        (
            "read what is personal of themself",
            Action::ReadPersonal,
            Object::user(actor.id()),
        ),
        ("read everybody", Action::Read, Object::any(Resource::User)),
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
