"""The learned part of the service desk's reader of replies, trained anew."""
