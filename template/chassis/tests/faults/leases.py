"""Notes every lease of a job by a trigger, with the time of the database: it is read when the workers are gone."""

from collections.abc import Mapping

from chassis.data import Database

# One row when a lease is given, one each time it is prolonged, and one when the job is given back or ends. The time is
# not that of the statement: a claim is later than the end that it has seen.
NOTE_LEASES = """
    CREATE TABLE leases (
        at timestamptz NOT NULL DEFAULT clock_timestamp(),
        holder text NOT NULL DEFAULT current_setting('application_name'),
        job uuid NOT NULL,
        claim bigint NOT NULL,
        attempt integer NOT NULL,
        is_new boolean NOT NULL,
        until timestamptz NOT NULL
    );
    CREATE FUNCTION note_lease() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF TG_OP = 'DELETE' OR NEW.worker IS NULL THEN
            NEW := OLD;
            NEW.run_at := clock_timestamp();
        END IF;
        INSERT INTO leases (job, claim, attempt, is_new, until)
        VALUES (NEW.message_id, NEW.claim, NEW.attempt, NEW.claim > OLD.claim, NEW.run_at);
        RETURN NULL;
    END $$;
    CREATE TRIGGER note_lease AFTER DELETE OR UPDATE ON chassis_jobs FOR EACH ROW EXECUTE FUNCTION note_lease();
"""
HOLDER = "SELECT holder FROM leases WHERE job = $1 AND is_new ORDER BY claim DESC LIMIT 1"
REPEATED = "SELECT count(*) FROM (SELECT FROM leases WHERE is_new GROUP BY job HAVING count(*) > 1) AS repeated"
FOREIGN = "SELECT count(*) FROM (SELECT FROM leases GROUP BY job, claim HAVING count(DISTINCT holder) > 1) AS prolonged"
PROLONGED = "SELECT EXISTS (SELECT FROM leases WHERE holder = $1 AND NOT is_new AND at > $2)"
# A lease holds until it is prolonged, until the job ends, or until its time is over, whichever comes first.
SIMULTANEOUS = """
    WITH held AS (
        SELECT at, least(until, lead(at) OVER (PARTITION BY job ORDER BY at)) AS until FROM leases
    ), after AS (
        SELECT at, max(until) OVER (ORDER BY at ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS others_until
        FROM held WHERE until > at
    )
    SELECT count(*) FROM after WHERE others_until > at
"""


def named(address: str, name: str) -> Mapping[str, str]:
    """Let the leases that a process takes have its name."""
    return {"DATABASE_URL": f"{address}?application_name={name}"}


async def repeated(database: Database) -> int:
    """Count the jobs that were given out more than once."""
    count: int = await database.fetchval(REPEATED)
    return count
