//! The making of keys: for whom, with which reach, and for how long.

use std::net::IpAddr;

use chrono::{DateTime, TimeDelta, Utc};
use rand::CryptoRng;
use usher_domain::{
    Action, AllowList, ApiToken, LoginType, Object, Scope, TokenName, User, UserId,
    username::random_words,
};
use usher_store::{Conflict, NewApiKey};

use crate::{ApiError, Caller, Settings};

/// What a new key is to be.
pub(crate) struct KeyParameters {
    pub(crate) login_type: LoginType,
    pub(crate) token_name: TokenName,
    pub(crate) scopes: Vec<Scope>,
    pub(crate) allow_list: AllowList,
    pub(crate) lifetime: TimeDelta,
    pub(crate) ip: Option<IpAddr>,
}

impl KeyParameters {
    /// The key to store.
    pub(crate) fn key(
        &self,
        token: &ApiToken,
        user: UserId,
        now: DateTime<Utc>,
    ) -> Result<NewApiKey, ApiError> {
        let expires_at = now
            .checked_add_signed(self.lifetime)
            .ok_or_else(|| ApiError::field("lifetime", "The lifetime is too long."))?;
        Ok(NewApiKey {
            id: token.id.clone(),
            hashed_secret: token.secret.digest(),
            user_id: user,
            login_type: self.login_type,
            token_name: self.token_name.clone(),
            scopes: self.scopes.clone(),
            allow_list: self.allow_list.clone(),
            lifetime_seconds: self.lifetime.num_seconds(),
            expires_at: usher_domain::time::to_microseconds(expires_at),
            created_at: now,
            ip: self.ip,
        })
    }
}

/// Refuses a user whose keys the caller may not make.
pub(crate) fn check_target(caller: &Caller, user: &User) -> Result<(), ApiError> {
    if user.is_system || !caller.may(Action::Create, Object::api_key_of(user.id)) {
        return Err(ApiError::Forbidden);
    }
    if user.is_deleted {
        return Err(Conflict::UserDeleted.into());
    }
    Ok(())
}

/// Refuses a key that could do more than the one that it is asked for with.
pub(crate) fn check_reach(caller: &Caller, parameters: &KeyParameters) -> Result<(), ApiError> {
    if caller.key_covers(&parameters.scopes, &parameters.allow_list) {
        Ok(())
    } else {
        Err(ApiError::Forbidden)
    }
}

/// How long a key lives for which nothing else was asked: never longer than a token that
/// it is made with.
pub(crate) fn default_lifetime(caller: &Caller, settings: &Settings) -> TimeDelta {
    settings
        .default_token_lifetime
        .min(own_lifetime(caller, settings))
}

/// The longest lifetime that the caller may ask for, for a token of `user`.
pub(crate) fn max_lifetime(caller: &Caller, user: &User, settings: &Settings) -> TimeDelta {
    max_lifetime_of(user, settings).min(own_lifetime(caller, settings))
}

/// The longest lifetime of a token of `user`.
pub(crate) fn max_lifetime_of(user: &User, settings: &Settings) -> TimeDelta {
    if user.is_owner() {
        settings.max_admin_token_lifetime
    } else {
        settings.max_token_lifetime
    }
}

/// A session is a person, who may make tokens that outlive it; a token is not, nor is a
/// session that was made with one and so lives shorter than sessions do.
fn own_lifetime(caller: &Caller, settings: &Settings) -> TimeDelta {
    let lifetime = TimeDelta::seconds(caller.key.lifetime_seconds);
    let of_sessions = settings
        .session_duration
        .min(settings.default_token_lifetime);
    if caller.key.login_type == LoginType::Token || lifetime < of_sessions {
        lifetime
    } else {
        TimeDelta::MAX
    }
}

/// A duration as Go prints it, such as `168h0m0s`.
pub(crate) fn duration_text(duration: TimeDelta) -> String {
    let seconds = duration.num_seconds();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds}s"),
        _ => format!("{hours}h{minutes}m{seconds}s"),
    }
}

/// A name for a token that was given none.
pub(crate) fn random_name(rng: &mut impl CryptoRng) -> TokenName {
    let (adjective, surname) = random_words(rng);
    TokenName::new(format!("{adjective}_{surname}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_in_go() {
        assert_eq!(duration_text(TimeDelta::days(7)), "168h0m0s");
        assert_eq!(duration_text(TimeDelta::minutes(72 * 60 + 30)), "72h30m0s");
        assert_eq!(duration_text(TimeDelta::seconds(61)), "1m1s");
        assert_eq!(duration_text(TimeDelta::seconds(1)), "1s");
    }
}
