//! Which changes of a user are still allowed when the store makes them.
//!
//! The API has checked the caller's permission before, against the user as they were then.

use crate::{
    PasswordHash, SiteRole, User, UserStatus, credential::PasswordAccount, role::sorted_names,
};

/// A change of an existing user, with the state that the caller's permission was checked
/// against.
#[derive(Clone, Copy, Debug)]
pub enum UserChange<'a> {
    /// Sets the status.
    Status(UserStatus),
    /// Replaces the site roles.
    Roles {
        /// The stored names that the caller was allowed to replace.
        replaces: &'a [String],
        /// The new names.
        roles: &'a [String],
    },
    /// Replaces the password.
    Password {
        /// The hash that the old password was checked against, if it was.
        replaces: Option<&'a PasswordHash>,
        /// Whether the caller may not change the password of an owner.
        unless_owner: bool,
    },
    /// Deletes the user.
    Deletion {
        /// Whether the caller may not delete an owner.
        unless_owner: bool,
    },
}

/// The user was modified after the caller's permission was checked, so that the change is no
/// longer allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the user was modified concurrently")]
pub struct ConcurrentModification;

impl UserChange<'_> {
    /// Checks that the caller may still make the change to the user as they are now.
    pub fn check(&self, account: &PasswordAccount) -> Result<(), ConcurrentModification> {
        let user = &account.user;
        let is_allowed = match *self {
            // Hence the last owner cannot be suspended either.
            Self::Status(status) => status != UserStatus::Suspended || !user.is_owner(),
            Self::Roles { replaces, .. } => sorted_names(&user.roles) == sorted_names(replaces),
            Self::Password {
                replaces,
                unless_owner,
            } => {
                replaces.is_none_or(|hash| *hash == account.password)
                    && !(unless_owner && user.is_owner())
            }
            Self::Deletion { unless_owner } => !(unless_owner && user.is_owner()),
        };
        if is_allowed {
            Ok(())
        } else {
            Err(ConcurrentModification)
        }
    }

    /// Whether the change leaves one active owner fewer, which must not be the last one.
    pub fn removes_active_owner(&self, user: &User) -> bool {
        let stays_owner = match self {
            Self::Status(status) => *status != UserStatus::Suspended,
            Self::Roles { roles, .. } => SiteRole::Owner.is_among(roles),
            Self::Password { .. } => true,
            Self::Deletion { .. } => false,
        };
        user.is_active_owner() && !stays_owner
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;
    use crate::testing::user;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn hash(text: &str) -> PasswordHash {
        PasswordHash::from_stored(text.to_owned())
    }

    fn with_roles(roles: &[&str]) -> PasswordAccount {
        PasswordAccount {
            user: User {
                roles: names(roles),
                ..user("ada")
            },
            password: hash("stored"),
            passcode: None,
        }
    }

    #[test]
    fn an_owner_cannot_be_suspended() {
        let change = UserChange::Status(UserStatus::Suspended);
        assert_eq!(
            change.check(&with_roles(&["auditor", "owner"])),
            Err(ConcurrentModification)
        );
        assert_eq!(change.check(&with_roles(&["auditor"])), Ok(()));
        for status in [UserStatus::Active, UserStatus::Dormant] {
            let change = UserChange::Status(status);
            assert_eq!(change.check(&with_roles(&["owner"])), Ok(()));
        }
    }

    #[test]
    fn roles_are_replaced_only_if_they_are_still_the_ones_that_were_checked() {
        let replaces = names(&["owner", "auditor"]);
        let change = UserChange::Roles {
            replaces: &replaces,
            roles: &[],
        };
        assert_eq!(change.check(&with_roles(&["auditor", "owner"])), Ok(()));
        for roles in [&["auditor"][..], &["auditor", "owner", "user-admin"], &[]] {
            assert_eq!(
                change.check(&with_roles(roles)),
                Err(ConcurrentModification)
            );
        }
    }

    #[test]
    fn a_password_is_replaced_only_if_it_is_still_the_one_that_was_checked() {
        let (stored, older) = (hash("stored"), hash("older"));
        for (replaces, unless_owner, expected) in [
            (None, false, Ok(())),
            (Some(&stored), false, Ok(())),
            (Some(&older), false, Err(ConcurrentModification)),
            (None, true, Err(ConcurrentModification)),
        ] {
            let change = UserChange::Password {
                replaces,
                unless_owner,
            };
            assert_eq!(change.check(&with_roles(&["owner"])), expected);
            if unless_owner {
                assert_eq!(change.check(&with_roles(&["user-admin"])), Ok(()));
            }
        }
    }

    #[test]
    fn a_caller_that_may_not_delete_owners_deletes_none() {
        for (unless_owner, roles, expected) in [
            (true, &["owner"], Err(ConcurrentModification)),
            (false, &["owner"], Ok(())),
            (true, &["auditor"], Ok(())),
        ] {
            let change = UserChange::Deletion { unless_owner };
            assert_eq!(change.check(&with_roles(roles)), expected);
        }
    }

    #[test]
    fn only_an_owner_that_may_sign_in_counts_as_an_active_owner() {
        let deletion = UserChange::Deletion {
            unless_owner: false,
        };
        let changed = |change: fn(&mut User)| {
            let mut user = with_roles(&["owner"]).user;
            change(&mut user);
            deletion.removes_active_owner(&user)
        };
        assert!(changed(|_| ()));
        assert!(changed(|user| user.status = UserStatus::Dormant));
        assert!(!changed(|user| user.status = UserStatus::Suspended));
        assert!(!changed(|user| user.is_deleted = true));
        assert!(!changed(|user| user.is_system = true));
        assert!(!changed(|user| user.roles = names(&["user-admin"])));
    }

    proptest! {
        #[test]
        fn new_roles_remove_an_active_owner_exactly_if_owner_is_dropped(
            old in vec(select(&["owner", "auditor", "user-admin", "custom"][..]), 0..4),
            new in vec(select(&["owner", "auditor", "user-admin", "custom"][..]), 0..4),
        ) {
            let roles = names(&new);
            let change = UserChange::Roles { replaces: &[], roles: &roles };
            let is_dropped = old.contains(&"owner") && !new.contains(&"owner");
            prop_assert_eq!(change.removes_active_owner(&with_roles(&old).user), is_dropped);
        }

        #[test]
        fn the_order_of_roles_does_not_matter(
            roles in vec(select(&["owner", "auditor", "user-admin", "custom"][..]), 0..4),
        ) {
            let mut reversed = names(&roles);
            reversed.reverse();
            let change = UserChange::Roles { replaces: &reversed, roles: &[] };
            prop_assert_eq!(change.check(&with_roles(&roles)), Ok(()));
        }
    }
}
