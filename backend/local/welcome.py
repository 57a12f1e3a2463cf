"""The lines to try, which end the start-up of the stack."""

from string import Template

READY = "Everything runs"

LINES = Template(r"""
$ready on $url; Ctrl-C stops it.
The demo account: user name "demo", password "$password".
The API, described, to try things on: $url/api/docs
The admin: $url/admin/, once `make manage ARGS=createsuperuser` has made you an operator.
To try in another terminal, with bash:

# Sign in on a device; the answer is a pair of tokens.
PAIR=$$(curl -sS $url/users/login -H 'Content-Type: application/json' \
  -d '{"username": "demo", "password": "$password",
       "device": {"installation_id": "terminal", "name": "Terminal"}}'); echo "$$PAIR"
token() { sed "s/.*\"$$1\": *\"\([^\"]*\)\".*/\1/" <<< "$$PAIR"; }
# Call the API.
curl -sS $url/users/me -H "Authorization: Bearer $$(token access_token)"; echo
# Refresh: the old refresh token for a new pair.
PAIR=$$(curl -sS $url/users/token -d grant_type=refresh_token \
  -d refresh_token="$$(token refresh_token)"); echo "$$PAIR"
# Sign out everywhere, then see the token refused.
curl -sS -X POST $url/users/logout-all -H "Authorization: Bearer $$(token access_token)"; echo
curl -sS $url/users/me -H "Authorization: Bearer $$(token access_token)"; echo
""")


def lines_to_try(*, url: str, password: str) -> str:
    return LINES.substitute(ready=READY, url=url, password=password)
