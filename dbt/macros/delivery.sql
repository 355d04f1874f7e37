{#
    fct_delivery_daily is replaced day by day (docs/decisions/0021-days-that-changed.md). A day has changed when, for any
    account, the mart has other rows of it than the raw tables: another number of them, or of another load.
#}


{# One row per platform, account and day: how many rows there are, and when the newest was loaded. #}
{% macro slices(relation, loaded_at) -%}
    select
        platform,
        account_id,
        report_date,
        count(*) as row_count,
        max({{ loaded_at }}) as loaded_at
    from {{ relation }}
    where {{ looked_at('report_date') }}
    group by 1, 2, 3
{%- endmacro %}


{# Hook before the mart is built: days that raw does not have any more have no rows that could replace theirs. On
   BigQuery the statement that replaces days removes those, too (macros/partitions.sql). #}
{% macro delete_vanished_days(raw) -%}
    {%- if is_incremental() and target.type != 'bigquery' -%}
    delete from {{ this }}
    where
        {{ looked_at('report_date') }}
        and report_date not in (select report_date from {{ ref(raw) }} where {{ looked_at('report_date') }})
    {%- endif -%}
{%- endmacro %}


{# Which days to look at when looking for changes: all on DuckDB, where it is cheap; where raw tables forget old
   days, those that they still have, because what expired did not become empty. #}
{% macro looked_at(column) -%}
    {{ adapter.dispatch('looked_at')(column) }}
    {%- if raw_since() %}
        and {{ column }} >= date '{{ raw_since() }}'
    {%- endif -%}
{%- endmacro %}

{% macro default__looked_at(column) -%}
    {{ column }} is not null
{%- endmacro %}

{% macro bigquery__looked_at(column) -%}
    {#- Literal bounds prune partitions; a pipeline passes the window that it has just loaded. -#}
    {{ column }} >= date '1900-01-01'
    {%- if window_start() %}
        and {{ column }} >= date_sub(date '{{ window_start() }}', interval {{ var('late_days') }} day)
    {%- endif -%}
    {%- if window_end() %}
        and {{ column }} < date '{{ window_end() }}'
    {%- endif -%}
{%- endmacro %}


{# How an incremental mart is stored: by day, replaced by day. #}
{% macro by_day_strategy() -%}
    {{ return('insert_overwrite' if target.type == 'bigquery' else 'delete+insert') }}
{%- endmacro %}

{% macro by_day_partition(column) -%}
    {{ return({'field': column, 'data_type': 'date'} if target.type == 'bigquery' else none) }}
{%- endmacro %}

{% macro clustered_by(columns) -%}
    {{ return(columns if target.type == 'bigquery' else none) }}
{%- endmacro %}
