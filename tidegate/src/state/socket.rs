//! The owner's unix socket in the state folder (mode 0600), reached through the folder's open descriptor.

use std::{io::ErrorKind, os::unix::fs::PermissionsExt};

use tokio::net::{UnixListener, UnixStream};

use super::StateFolder;

/// The owner's end: accepts commands until dropped.
#[derive(Debug)]
pub struct OwnerListener {
    listener: UnixListener,
}

/// One connection between a command and the owner.
pub type OwnerStream = UnixStream;

impl OwnerListener {
    /// Binds the socket. Only the holder of the folder's lock may call this: a socket left by a dead owner is replaced.
    /// # Errors
    /// What the system says.
    pub fn bind(folder: &StateFolder) -> std::io::Result<Self> {
        let path = folder.socket_path();
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        Ok(Self { listener })
    }

    /// The next command. Cancel-safe.
    /// # Errors
    /// What the system says; the caller pauses and goes on.
    pub async fn accept(&self) -> std::io::Result<OwnerStream> {
        Ok(self.listener.accept().await?.0)
    }
}

impl StateFolder {
    /// Connects to the live owner.
    /// # Errors
    /// What the system says; `NotFound` or `ConnectionRefused` while an owner is still starting, or is not one that listens.
    pub async fn connect(&self) -> std::io::Result<OwnerStream> {
        UnixStream::connect(self.socket_path()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_folder_whose_path_has_200_characters_is_bound_and_reached() {
        let outside = tempfile::tempdir().unwrap();
        let path = outside.path().join("a".repeat(200));
        let folder = StateFolder::open(&path).unwrap();
        let listener = OwnerListener::bind(&folder).unwrap();
        let (accepted, connected) = tokio::join!(listener.accept(), folder.connect());
        assert!(accepted.is_ok() && connected.is_ok());
        let mode = std::fs::metadata(path.join("owner.sock")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[tokio::test]
    async fn a_socket_left_by_a_dead_owner_is_replaced() {
        let outside = tempfile::tempdir().unwrap();
        let folder = StateFolder::open(outside.path()).unwrap();
        drop(OwnerListener::bind(&folder).unwrap());
        assert_eq!(folder.connect().await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
        let listener = OwnerListener::bind(&folder).unwrap();
        let (accepted, connected) = tokio::join!(listener.accept(), folder.connect());
        assert!(accepted.is_ok() && connected.is_ok());
    }
}
