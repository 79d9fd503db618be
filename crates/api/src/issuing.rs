//! Issuing of API keys: sessions and tokens, their scopes and lifetimes.

use std::net::IpAddr;

use chrono::{DateTime, TimeDelta, Utc};
use http::HeaderValue;
use rand::CryptoRng;
use usher_domain::{
    Action, AllowList, ApiToken, AuditContext, LoginType, Object, Scope, TokenName, User, UserId,
    random::Random, username::random_words,
};
use usher_store::{Conflict, NewApiKey};

use crate::{ApiError, Caller, Settings, cookies::set_cookie, credential::SESSION_COOKIE};

/// The properties of a new key.
pub(crate) struct KeyParameters {
    pub(crate) login_type: LoginType,
    pub(crate) token_name: TokenName,
    pub(crate) scopes: Vec<Scope>,
    pub(crate) allow_list: AllowList,
    pub(crate) lifetime: TimeDelta,
    pub(crate) ip: Option<IpAddr>,
}

impl KeyParameters {
    /// A session: a key without a name and without limits.
    pub(crate) fn session(login_type: LoginType, lifetime: TimeDelta, ip: Option<IpAddr>) -> Self {
        Self {
            login_type,
            token_name: TokenName::default(),
            scopes: vec![Scope::ALL],
            allow_list: AllowList::everything(),
            lifetime,
            ip,
        }
    }

    /// Returns the key to store for a token.
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

/// Issues a session of the initiator for a sign-in. Returns its token, and the key to store.
pub(crate) fn session(
    login_type: LoginType,
    settings: &Settings,
    by: &AuditContext,
    random: &dyn Random,
) -> Result<(ApiToken, NewApiKey), ApiError> {
    let token = ApiToken::generate(&mut random.generator());
    let parameters = KeyParameters::session(login_type, settings.session_duration, by.ip);
    let key = parameters.key(&token, by.initiator.user_id, by.initiator.at)?;
    Ok((token, key))
}

/// The cookie that carries the token of a session.
pub(crate) fn session_cookie(token: &ApiToken, settings: &Settings) -> HeaderValue {
    set_cookie(SESSION_COOKIE, &token.expose(), settings)
}

/// Checks that the caller may create keys of the user.
pub(crate) fn check_target(caller: &Caller, user: &User) -> Result<(), ApiError> {
    if user.is_system {
        return Err(ApiError::Forbidden);
    }
    caller.require(Action::Create, Object::api_key_of(user.id))?;
    if user.is_deleted {
        return Err(Conflict::UserDeleted.into());
    }
    Ok(())
}

/// Checks that the new key is not more powerful than the caller's key.
pub(crate) fn check_scope(caller: &Caller, parameters: &KeyParameters) -> Result<(), ApiError> {
    if caller.key_covers(&parameters.scopes, &parameters.allow_list) {
        Ok(())
    } else {
        Err(ApiError::Forbidden)
    }
}

/// The lifetime of a key if the request sets none. It does not exceed the lifetime of the
/// token that the caller uses.
pub(crate) fn default_lifetime(caller: &Caller, settings: &Settings) -> TimeDelta {
    settings
        .default_token_lifetime
        .min(caller_lifetime(caller, settings))
}

/// The longest lifetime that the caller may request for a token of `user`.
pub(crate) fn max_lifetime(caller: &Caller, user: &User, settings: &Settings) -> TimeDelta {
    max_lifetime_of(user, settings).min(caller_lifetime(caller, settings))
}

/// The longest lifetime of a token of `user`.
pub(crate) fn max_lifetime_of(user: &User, settings: &Settings) -> TimeDelta {
    if user.is_owner() {
        settings.max_admin_token_lifetime
    } else {
        settings.max_token_lifetime
    }
}

/// The lifetime that the caller's key imposes on new keys. A session imposes none. A token
/// imposes its own, and so does a session that was created with a token, which is recognized
/// by its short lifetime.
fn caller_lifetime(caller: &Caller, settings: &Settings) -> TimeDelta {
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

/// Formats a duration like Go, for example `168h0m0s`.
pub(crate) fn duration_text(duration: TimeDelta) -> String {
    let seconds = duration.num_seconds();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds}s"),
        _ => format!("{hours}h{minutes}m{seconds}s"),
    }
}

/// A random name, for a token without one.
pub(crate) fn random_name(rng: &mut impl CryptoRng) -> TokenName {
    let (adjective, surname) = random_words(rng);
    TokenName::new(format!("{adjective}_{surname}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_formatted_like_go() {
        assert_eq!(duration_text(TimeDelta::days(7)), "168h0m0s");
        assert_eq!(duration_text(TimeDelta::minutes(72 * 60 + 30)), "72h30m0s");
        assert_eq!(duration_text(TimeDelta::seconds(61)), "1m1s");
        assert_eq!(duration_text(TimeDelta::seconds(1)), "1s");
    }
}
