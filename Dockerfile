# The drills where there is no Linux, or none of one's own:
#
#     docker build -t servedrill .
#     docker run --init --rm --ulimit rtprio=1 -v servedrill-runs:/runs servedrill
#
# --init collects what is left of processes; rtprio lets the load go first; what follows the name goes to pytest.
FROM python:3.12-slim
WORKDIR /servedrill
COPY . .
RUN pip install --no-cache-dir -e . && useradd --create-home drill && mkdir /runs && chown drill /runs
USER drill
VOLUME /runs
ENTRYPOINT ["pytest", "-p", "no:cacheprovider", "drills", "--drill-runs", "/runs"]
