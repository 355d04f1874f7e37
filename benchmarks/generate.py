"""Files to measure with: a report CSV byte for byte like Bid Manager's, and an Entity Read File of line items."""

from pathlib import Path

import duckdb

DIMENSIONS = 14
HEADER = (
    "Date,Partner ID,Advertiser ID,Advertiser,Advertiser Currency,Advertiser Time Zone,Campaign ID,Campaign,"
    "Insertion Order ID,Insertion Order,Line Item ID,Line Item,Creative ID,Creative,Impressions,"
    "Billable Impressions,Clicks,Total Conversions,Post-Click Conversions,Post-View Conversions,"
    "Media Cost (Advertiser Currency),Media Cost (Partner Currency),Media Cost (USD),Revenue (Adv Currency),"
    "Revenue (Partner Currency),Revenue (USD)"
)
METRICS = HEADER.split(",")[DIMENSIONS:]


def report_csv(path: Path, rows: int, *, first_day: str = "2026-01-01", days: int = 30) -> Path:
    """Write a report of `rows` rows over `days` days, with totals row, blank line and footer."""
    body = path.with_suffix(".body")
    with duckdb.connect() as con:
        con.execute("SET memory_limit='2GB'")
        con.execute(
            f"""
            CREATE TABLE r AS
            SELECT strftime(DATE '{first_day}' + (i * {days} // {rows})::INT, '%Y/%m/%d') AS d, 1001 AS p,
                   100000 + i % 50 AS a, 'Advertiser ' || (i % 50) AS an, 'EUR' AS cur, 'Europe/Paris' AS tz,
                   200000 + i % 500 AS c, 'Campaign, spring ' || (i % 500) AS cn,
                   300000 + i % 2000 AS io, 'Insertion order ' || (i % 2000) AS ion,
                   400000 + i AS li, 'Line item ' || (i % 40000) || ' | display | prospecting' AS lin,
                   CASE WHEN i % 997 = 0 THEN 'Unknown' ELSE (500000 + i % 90000)::VARCHAR END AS cr,
                   'Creative ' || (i % 90000) || ' 300x250' AS crn,
                   i % 10007 AS m1, (i % 10007)::DECIMAL(18,2) AS m2, i % 97 AS m3,
                   (i % 31 / 10)::DECIMAL(18,6) AS m4, (i % 13 / 10)::DECIMAL(18,6) AS m5,
                   (i % 17 / 10)::DECIMAL(18,6) AS m6,
                   (i % 10007 * 0.002113)::DECIMAL(18,6) AS m7, (i % 10007 * 0.002113)::DECIMAL(18,6) AS m8,
                   (i % 10007 * 0.0023)::DECIMAL(18,6) AS m9, (i % 10007 * 0.0031)::DECIMAL(18,6) AS m10,
                   (i % 10007 * 0.0031)::DECIMAL(18,6) AS m11, (i % 10007 * 0.0034)::DECIMAL(18,6) AS m12
            FROM range({rows}) t(i)
            """
        )
        con.execute(f"COPY r TO '{body}' (HEADER false, QUOTE '\"')")
        totals = con.execute("SELECT " + ", ".join(f"sum(m{n})" for n in range(1, 13)) + " FROM r").fetchone()
    assert totals is not None
    with path.open("wb") as out, body.open("rb") as data:
        out.write(HEADER.encode() + b"\n")
        while block := data.read(1 << 24):
            out.write(block)
        out.write(("," * DIMENSIONS + ",".join(map(str, totals)) + "\n\n").encode())
        out.write(b"Report Time:,2026/02/01 06:00 GMT\nDate Range:,2026/01/01 to 2026/01/30\n")
        out.write(b"Group By:,Date\nFilter by Partner ID:,1001\n")
    body.unlink()
    return path


def erf_json(path: Path, objects: int) -> Path:
    """Write an Entity Read File of line items, about 2.4 KB each, one object per line inside one array."""
    fields = """
        common_data := {'id': 400000 + i, 'name': 'Line item ' || i || ' | display | prospecting', 'active': i % 3 > 0,
                        'integration_code': 'code-' || i},
        line_item_type := i % 2, insertion_order_id := 300000 + i % 2000,
        creative_ids := [500000 + i % 9000, 500001 + i % 9000, 500002 + i % 9000],
        max_cpm_advertiser_micros := 2500000 + i % 1000, performance_goal := 1, goal_advertiser_micros := 5000000,
        partner_revenue_model := {'type': 1, 'amount_advertiser_micros': 100000, 'media_cost_markup_percent_millis': 15000,
                                  'post_view_conversion_tracking_fraction': 0.5},
        cost_tracking_pixels := [{'pixel_id': 7000 + i % 10, 'view_window_minutes': 43200, 'click_window_minutes': 43200,
                                  'floodlight_activity_id': 8000 + i % 10}],
        budget := {'start_time_usec': 1727740800000000, 'end_time_usec': 1735689600000000, 'max_impressions': 1000000,
                   'max_spend_advertiser_micros': 5000000000, 'pacing_type': 1, 'pacing_max_impressions': 30000,
                   'pacing_max_spend_advertiser_micros': 170000000, 'pacing_distribution': 2},
        frequency_cap := {'max_impressions': 5, 'time_unit': 3, 'time_range': 1},
        target_list := {
            'inventory_sources': [{'criteria_id': x, 'parameter': '', 'excluded': false} for x in range(1, 6)],
            'geo_locations': [{'criteria_id': 2250 + x + i % 5, 'parameter': '', 'excluded': x % 2 = 0} for x in range(1, 8)],
            'ad_position': {'criteria_id': 1, 'parameter': '', 'excluded': false},
            'net_speed': {'criteria_id': 4, 'excluded': false},
            'device_criteria': [{'criteria_id': 30000 + x, 'parameter': '', 'excluded': false} for x in range(1, 5)],
            'keywords': [{'criteria_id': x, 'parameter': 'keyword number ' || (x + i % 100), 'excluded': x % 2 = 1}
                         for x in range(1, 8)],
            'kct_include_uncrawled_sites': true,
            'universal_channels': [{'criteria_id': 90000 + x, 'parameter': '', 'excluded': true} for x in range(1, 5)]}
    """
    with duckdb.connect() as con:
        con.execute("SET memory_limit='2GB'")
        con.execute("SET threads=2")
        con.execute(
            f"COPY (SELECT unnest(struct_pack({fields})) FROM range({objects}) t(i)) TO '{path}' (FORMAT json, ARRAY true)"
        )
    return path
