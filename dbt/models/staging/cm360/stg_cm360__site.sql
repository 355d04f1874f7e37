with

source as (

    select * from {{ source('cm360', 'site') }}
    {{ every_day('_snapshot_date') }}

),

renamed as (

    select
        -- keys
        _snapshot_date as snapshot_date,
        _account_id as account_id,
        id as site_id,
        ad_serving_platform_id,
        directory_site_id,
        subaccount_id,

        -- attributes
        approved as is_approved,
        key_name,
        kind,
        name as site_name,

        -- records and lists, as they came
        directory_site_id_dimension_value,
        id_dimension_value,
        site_contacts,
        site_settings,
        video_settings,

        -- adelt
        _unknown_fields as unknown_fields,
        _run_id as run_id,
        _loaded_at as loaded_at

    from source

)

select * from renamed
