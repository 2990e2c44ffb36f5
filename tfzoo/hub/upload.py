"""What is saved to a folder, pushed to the model hub."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Protocol

from tfzoo.core.untrusted import escaped
from tfzoo.hub.repository import HubError, offline_variable

__all__ = ["PushMixin"]


class _Saved(Protocol):
    def save_pretrained(self, save_directory: str | Path, **arguments: Any) -> Any:
        """Write files into a folder."""


class PushMixin:
    """`push_to_hub` for whatever has `save_pretrained`."""

    def push_to_hub(
        self: _Saved,
        repo_id: str,
        *,
        commit_message: str | None = None,
        private: bool | None = None,
        token: str | bool | None = None,
        revision: str | None = None,
        create_pr: bool = False,
        **arguments: Any,
    ) -> str:
        """Upload what `save_pretrained` writes to a repository of the model hub.

        The repository is made where there is none; its other files stay as they are.

        Args:
            repo_id: `org/name`, or a name alone for one of your own.
            commit_message: Title of the commit.
            private: Whether a new repository can be seen by nobody else; the account's default
                where None.
            token: Access token of the hub; by default that in `HF_TOKEN` or of the last login.
            revision: Branch to commit to; the default branch where None.
            create_pr: Propose the commit as a pull request.
            **arguments: Further arguments of `save_pretrained`.

        Returns:
            The address of the commit.

        Raises:
            HubError: The network is forbidden, or the hub refuses or cannot be reached.

        Example:
            >>> import tfzoo
            >>> model = tfzoo.TFAutoModel.from_pretrained(tfzoo.default_checkpoint())
            >>> model.push_to_hub("me/camera-motion")  # doctest: +SKIP
        """
        from huggingface_hub import HfApi

        if (setting := offline_variable()) is not None:
            raise HubError(f"{setting} forbids the upload to {repo_id!r}: allow the network.")
        with tempfile.TemporaryDirectory() as folder:
            self.save_pretrained(folder, **arguments)
            try:
                api = HfApi(token=token)
                name = api.create_repo(repo_id, private=private, exist_ok=True).repo_id
                commit = api.upload_folder(
                    repo_id=name,
                    folder_path=folder,
                    commit_message=commit_message or f"Upload {type(self).__name__}",
                    revision=revision,
                    create_pr=create_pr,
                )
            except Exception as error:  # those of the client and of its HTTP library
                raise HubError(
                    f"{repo_id!r} cannot be written to: {escaped(f'{error!s:.500}')}. Check its "
                    "name and your rights, and log in with `hf auth login`, or pass token=."
                ) from error
        return commit.commit_url
