"""Tokens of AWS's own MSK signer: one JSON question a line on standard input, one token a line on standard output."""

import datetime
import json
import sys

import botocore.auth
from aws_msk_iam_sasl_signer import MSKAuthTokenProvider
from botocore.credentials import CredentialProvider, Credentials


class Fixed(CredentialProvider):
    METHOD = "fixed"

    def __init__(self, question):
        super().__init__()
        self.credentials = Credentials(question["access_key"], question["secret"], question["session_token"])

    def load(self):
        return self.credentials


class FrozenClock(datetime.datetime):
    """The signer's clock: shows the time that the question names."""

    moment = None

    @classmethod
    def utcnow(cls):
        return cls.moment.replace(tzinfo=None)

    @classmethod
    def now(cls, tz=None):
        return cls.moment if tz else cls.moment.replace(tzinfo=None)


def main():
    botocore.auth.datetime = type("frozen", (), {"datetime": FrozenClock, "timezone": datetime.timezone})
    if hasattr(botocore.auth, "get_current_datetime"):
        botocore.auth.get_current_datetime = lambda remove_tzinfo=True: FrozenClock.utcnow()
    for line in sys.stdin:
        question = json.loads(line)
        moment = datetime.datetime.strptime(question["date"], "%Y%m%dT%H%M%SZ")
        FrozenClock.moment = moment.replace(tzinfo=datetime.timezone.utc)
        token, _ = MSKAuthTokenProvider.generate_auth_token_from_credentials_provider(question["region"], Fixed(question))
        print(token)


main()
