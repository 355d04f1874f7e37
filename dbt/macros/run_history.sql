{# The run history (docs/operations.md): what its models share. #}


{# The newest row of each key: a source may show a run under two days, when it changed after it was loaded. #}
{% macro newest_rows(relation, key) -%}
    select * from (
        select
            every_row.*,
            row_number() over (
                partition by {{ key }}
                order by snapshot_date desc, loaded_at desc
            ) as recency
        from {{ relation }} as every_row
    ) as ranked
    where recency = 1
{%- endmacro %}


{# Seconds from one time to another, exact to the microsecond. #}
{% macro seconds_between(start, end) -%}
    {{ from_micros(adapter.dispatch('microseconds_between')(start, end)) }}
{%- endmacro %}

{% macro default__microseconds_between(start, end) -%}
    date_diff('microsecond', {{ start }}, {{ end }})
{%- endmacro %}

{% macro bigquery__microseconds_between(start, end) -%}
    timestamp_diff({{ end }}, {{ start }}, microsecond)
{%- endmacro %}


{% macro hours_between(start, end) -%}
    {{ money(seconds_between(start, end) ~ ' / 3600') }}
{%- endmacro %}


{# The UTC day of a time. #}
{% macro utc_date(expression) -%}
    {{ adapter.dispatch('utc_date')(expression) }}
{%- endmacro %}

{% macro default__utc_date(expression) -%}
    cast({{ expression }} at time zone 'UTC' as date)
{%- endmacro %}

{% macro bigquery__utc_date(expression) -%}
    date({{ expression }}, 'UTC')
{%- endmacro %}


{# Whole days from one date to another. #}
{% macro days_between(start, end) -%}
    {{ adapter.dispatch('days_between')(start, end) }}
{%- endmacro %}

{% macro default__days_between(start, end) -%}
    date_diff('day', {{ start }}, {{ end }})
{%- endmacro %}

{% macro bigquery__days_between(start, end) -%}
    date_diff({{ end }}, {{ start }}, day)
{%- endmacro %}


{# A message with its ids and numbers as #, so that the same failure on another day is the same text. #}
{% macro without_numbers(message) -%}
    {{ adapter.dispatch('without_numbers')(message) }}
{%- endmacro %}

{% macro default__without_numbers(message) -%}
    regexp_replace({{ message }}, '[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9]+', '#', 'g')
{%- endmacro %}

{% macro bigquery__without_numbers(message) -%}
    regexp_replace({{ message }}, r'[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9]+', '#')
{%- endmacro %}


{# The median as an aggregate, exact on every warehouse; `position` numbers the `among` values of the group in order. #}
{% macro median(value, position, among) -%}
    {%- set is_middle = '2 * ' ~ position ~ ' between ' ~ among ~ ' and ' ~ among ~ ' + 2' -%}
    {{ money('avg(case when ' ~ is_middle ~ ' then ' ~ value ~ ' end)') }}
{%- endmacro %}


{# The numbers from 1 on, as rows. #}
{% macro steps_back(count) -%}
    {%- for back in range(1, count + 1) %}
    select {{ back }} as back
    {%- if not loop.last %} union all{% endif -%}
    {%- endfor %}
{%- endmacro %}


{# Frames of a window: the last runs, this one among them, and the history before them. #}
{% macro frame_of_last_runs() -%}
    rows between {{ var('anomaly_last_runs') - 1 }} preceding and current row
{%- endmacro %}

{% macro frame_of_runs_before() -%}
    {%- set last_runs = var('anomaly_last_runs') -%}
    rows between {{ last_runs + var('anomaly_history') - 1 }} preceding and {{ last_runs }} preceding
{%- endmacro %}


{# Sum of a column of whole numbers, as one; null if there is none. #}
{% macro total(expression) -%}
    cast(sum({{ expression }}) as bigint)
{%- endmacro %}


{# How many rows meet a condition. #}
{% macro count_where(condition) -%}
    {{ total('case when ' ~ condition ~ ' then 1 else 0 end') }}
{%- endmacro %}


{# A number in a sentence: rounded to a whole one. #}
{% macro whole(expression) -%}
    cast(cast(round({{ expression }}) as bigint) as {{ dbt.type_string() }})
{%- endmacro %}
