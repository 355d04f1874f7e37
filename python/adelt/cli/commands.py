"""Every command, in the order of `adelt --help`."""

from typer.main import get_group

from adelt.cli import backfill, definitions, doctor, export, ingest, replay, runs, sandbox, serve, targets
from adelt.cli.app import app

app.command()(definitions.validate)
app.command()(definitions.plan)
app.command()(runs.run)
app.command()(runs.task)
app.command()(backfill.backfill)
app.command()(ingest.ingest)
app.command()(replay.replay)
app.command()(runs.runs)
app.command()(serve.serve)
app.command()(doctor.doctor)
app.command()(targets.targets)
app.command()(definitions.tables)
app.command()(definitions.schema)
app.command()(definitions.generate)
app.command()(export.export)
app.command("import")(export.import_)
app.command()(sandbox.query)
app.command()(sandbox.sandbox)
app.command()(sandbox.demo)

command_line = get_group(app)  # made when imported, so that workers that are forked later have it
