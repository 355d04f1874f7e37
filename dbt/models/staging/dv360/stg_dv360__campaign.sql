with

source as (

    select * from {{ source('dv360', 'campaign') }}
    {{ every_day('_snapshot_date') }}

),

renamed as (

    select
        -- keys
        _snapshot_date as snapshot_date,
        _account_id as account_id,
        campaign_id,
        advertiser_id,

        -- attributes
        display_name as campaign_name,
        entity_status,
        name as resource_name,
        update_time as updated_at,

        -- flattened from records
        {{ date_of('campaign_flight.planned_dates.start_date') }} as start_date,
        {{ date_of('campaign_flight.planned_dates.end_date') }} as end_date,

        -- records and lists, as they came
        campaign_budgets,
        campaign_flight,
        campaign_goal,
        frequency_cap,

        -- adelt
        _unknown_fields as unknown_fields,
        _run_id as run_id,
        _loaded_at as loaded_at

    from source

)

select * from renamed
