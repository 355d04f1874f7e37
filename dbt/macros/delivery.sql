{#
    fct_delivery_daily is replaced day by day (docs/decisions/0021-days-that-changed.md). A day has changed when, for any
    account, the mart has other rows of it than the raw tables: another number of them, or of another load.
#}


{# One row per platform, account and day: how many rows there are, and when the newest was loaded. #}
{% macro slices(relation, platform, loaded_at='loaded_at') -%}
    select
        {{ platform }} as platform,
        account_id,
        report_date,
        count(*) as row_count,
        max({{ loaded_at }}) as loaded_at
    from {{ relation }}
    where {{ looked_at('report_date') }}
    group by 1, 2, 3
{%- endmacro %}


{# Days of raw delivery that differ from those in the mart, days that either of them lacks included. #}
{% macro changed_days(mart) -%}
    select distinct coalesce(raw_slices.report_date, mart_slices.report_date) as report_date
    from (
        {{ slices(ref('stg_dv360__report_standard') , "'dv360'") | indent(8) }}
        union all
        {{ slices(ref('stg_cm360__report_standard'), "'cm360'") | indent(8) }}
    ) as raw_slices
    full outer join (
        {{ slices(mart, 'platform', '_loaded_at') | indent(8) }}
    ) as mart_slices
        on
            raw_slices.platform = mart_slices.platform
            and raw_slices.account_id = mart_slices.account_id
            and raw_slices.report_date = mart_slices.report_date
    where
        raw_slices.report_date is null
        or mart_slices.report_date is null
        or raw_slices.row_count != mart_slices.row_count
        or raw_slices.loaded_at != mart_slices.loaded_at
{%- endmacro %}


{# Hook before the mart is built: days that raw does not have any more have no rows that could replace theirs. #}
{% macro delete_vanished_days() -%}
    {%- if is_incremental() -%}
    delete from {{ this }}
    where
        report_date not in (select report_date from {{ ref('stg_dv360__report_standard') }})
        and report_date not in (select report_date from {{ ref('stg_cm360__report_standard') }})
        and {{ looked_at('report_date') }}
    {%- endif -%}
{%- endmacro %}


{# Which days to look at when looking for changes: all on DuckDB, where it is cheap. #}
{% macro looked_at(column) -%}
    {{ adapter.dispatch('looked_at')(column) }}
{%- endmacro %}

{% macro default__looked_at(column) -%}
    {{ column }} is not null
{%- endmacro %}

{% macro bigquery__looked_at(column) -%}
    {#- Literal bounds prune partitions; a pipeline passes the window that it has just loaded. -#}
    {{ column }} is not null
    {%- if var('window_start') %}
        and {{ column }} >= date_sub(date '{{ var("window_start") }}', interval {{ var('late_days') }} day)
    {%- endif -%}
    {%- if var('window_end') %}
        and {{ column }} < date '{{ var("window_end") }}'
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
